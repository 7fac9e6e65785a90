using System.Diagnostics;
using System.Globalization;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Seconds an optimiser step of four rows, a row a micro-batch, and the peak memory of a process that does nothing else: ours and the
/// reference algorithm, each in a process of its own.
/// </summary>
internal static class TrainingBenchmark
{
    private const int Rows = 4;

    public static void Run(int threads, bool quick)
    {
        BenchmarkShape.Checkpoint(quick);
        foreach (string kind in new[] { "full", "lora" })
            foreach (string precision in new[] { "fp32", "bf16" })
            {
                (double seconds, double gib, double planned) ours = InOwnProcess(kind, precision, "ours", threads, quick);
                (double seconds, double gib, double planned) reference = InOwnProcess(kind, precision, "reference", threads, quick);
                string name = $"training.{kind}.{precision}";
                Figure.Print($"{name}.seconds", ours.seconds, "s");
                Figure.Print($"{name}.peak_gib", ours.gib, "GiB");
                Figure.Print($"{name}.ratio_time", reference.seconds / ours.seconds, "x");
                Figure.Print($"{name}.ratio_memory", ours.gib / reference.gib, "x");
                Figure.Print($"{name}.plan_ratio", ours.planned, "x");
            }
    }

    /// <summary>The child's part: prints seconds of the fastest step after the first, and the process's peak memory.</summary>
    public static void Measure(string kind, string precision, string algorithm, int threads, bool quick)
    {
        torch.ScalarType dtype = precision == "bf16" ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32;
        DiffusionGemmaRuntime.EnsureUsable();
        long before = WorkingSet(p => p.WorkingSet64);
        using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(quick), dtype: dtype);
        torch.set_num_threads(threads);
        LoraOptions? lora = kind == "lora" ? new LoraOptions() : null;
        int steps = quick ? 3 : 4;
        IReadOnlyList<TrainingExample> rows = BenchmarkShape.Rows(Rows * steps, model.Config);
        var times = new List<double>();
        if (algorithm == "ours")
        {
            var options = new FineTuneOptions { Lora = lora, GlobalBatchSize = Rows, WarmupSteps = 1, Shuffle = false, DryRun = false };
            using FineTuneResult result = FineTuner.Fit(model, rows, options);
            times.AddRange(result.History.Select(s => s.Seconds));
            model.Adapter = null;
        }
        else
        {
            using LoraAdapter? adapter = lora is null ? null : LoraAdapter.Create(model, lora, 42);
            using var reference = new ReferenceAlgorithm(model, adapter);
            for (int step = 0; step < steps; step++)
            {
                var clock = Stopwatch.StartNew();
                reference.Step(step, [.. rows.Skip(step * Rows).Take(Rows)]);
                times.Add(clock.Elapsed.TotalSeconds);
            }
        }
        long peak = WorkingSet(p => p.PeakWorkingSet64);
        var plan = TrainingPlan.Of(model.Config, new FineTuneOptions { Lora = lora, GlobalBatchSize = Rows }, dtype, rows.Max(r => r.InputIds.Length));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{times.Skip(1).Min()} {peak / (double)(1 << 30)} {plan.TotalBytes / (double)(peak - before)}"));
    }

    private static long WorkingSet(Func<Process, long> read)
    {
        using Process process = Process.GetCurrentProcess();
        return read(process);
    }

    private static (double Seconds, double Gib, double Planned) InOwnProcess(string kind, string precision, string algorithm, int threads, bool quick)
    {
        string[] arguments = ["training-one", kind, precision, algorithm, threads.ToString(CultureInfo.InvariantCulture), quick.ToString()];
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', arguments)} failed.");
        Figure.Note($"{kind} {precision} {algorithm}: {output.Trim()}");
        double[] numbers = [.. output.Split(' ').Select(n => double.Parse(n, CultureInfo.InvariantCulture))];
        return (numbers[0], numbers[1], numbers[2]);
    }
}
