using System.Diagnostics;
using System.Globalization;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>One measurement of training, in a process of its own: what to train, by which algorithm, on which shape.</summary>
/// <param name="Kind">full or lora.</param>
/// <param name="Precision">fp32 or bf16.</param>
/// <param name="Algorithm">ours or reference.</param>
/// <param name="Threads">Torch's threads.</param>
/// <param name="Quick">The small shape.</param>
/// <param name="Experts">Experts a layer.</param>
/// <param name="Prompt">Prompt tokens of a row.</param>
/// <param name="Response">Response tokens of a row, whole canvases.</param>
internal sealed record TrainingCase(
    string Kind, string Precision, string Algorithm = "ours", int Threads = 1, bool Quick = false,
    int Experts = BenchmarkShape.DefaultExperts,
    int Prompt = BenchmarkShape.DefaultPrompt, int Response = BenchmarkShape.DefaultResponse)
{
    private const int RowsPerStep = 4;

    public const string Command = "training-one";

    private torch.ScalarType DType => Precision == "bf16" ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32;

    /// <summary>
    /// True for the reference algorithm in bfloat16 on a processor without units for it, where a step takes minutes: one step at a quarter
    /// of the rows, the first, is then all that is measured, and counts four times.
    /// </summary>
    private bool IsQuartered => Algorithm == "reference" && Precision == "bf16" && !BFloat16Units.ServeLibTorch;

    /// <summary>
    /// Steps of the measurement, of which the first only warms up: one less where bfloat16 is slow, so that all cases end in ten minutes.
    /// </summary>
    private int StepCount
    {
        get
        {
            if (IsQuartered) return 1;
            int steps = Quick || Algorithm == "reference" ? 3 : 4;
            return BFloat16Units.ServeLibTorch ? steps : steps - 1;
        }
    }

    private LoraOptions? Lora => Kind == "lora" ? new LoraOptions() : null;

    public static TrainingCase Parse(string[] a)
    {
        int Number(int at) => int.Parse(a[at], CultureInfo.InvariantCulture);
        return new TrainingCase(a[0], a[1], a[2], Number(3), bool.Parse(a[4]), Number(5), Number(6), Number(7));
    }

    /// <summary>Runs it in a process that does nothing else.</summary>
    public TrainingMeasure InOwnProcess()
    {
        BenchmarkShape.Checkpoint(Quick, Experts);
        object[] values = [Threads, Quick, Experts, Prompt, Response];
        string[] arguments =
            [Command, Kind, Precision, Algorithm, .. values.Select(v => Convert.ToString(v, CultureInfo.InvariantCulture)!)];
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', arguments)} failed.");
        TrainingMeasure measure = TrainingMeasure.Parse(output);
        Figure.Note($"{this}: {measure}");
        return measure;
    }

    /// <summary>The child's part.</summary>
    public TrainingMeasure Measure()
    {
        Machine.Note();
        torch.set_num_threads(Threads);
        long before = WorkingSet(p => p.WorkingSet64);
        using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(Quick, Experts), dtype: DType);
        int steps = StepCount, perStep = IsQuartered ? RowsPerStep / 4 : RowsPerStep;
        IReadOnlyList<TrainingExample> rows = BenchmarkShape.Rows(RowsPerStep * steps, model.Config, Prompt, Response);
        var options = new FineTuneOptions
        {
            Lora = Lora, GlobalBatchSize = RowsPerStep, WarmupSteps = 1, Run = new() { Shuffle = false, DryRun = false },
        };
        var times = new List<double>();
        var processor = new List<TimeSpan> { Processor() };
        double waited = 0;
        if (Algorithm == "ours")
        {
            var progress = new ImmediateProgress<StepRecord>(_ => processor.Add(Processor()));
            using FineTuneResult result = FineTuner.Fit(model, rows, options, progress);
            times.AddRange(result.History.Select(s => s.Seconds));
            waited = result.History.Skip(1).Sum(s => s.WaitSeconds) / result.History.Skip(1).Sum(s => s.Seconds);
            model.Adapter = null;
        }
        else
        {
            using LoraAdapter? adapter = Lora is null ? null : LoraAdapter.Create(model, Lora, 42);
            using var reference = new ReferenceAlgorithm(model, adapter);
            for (int step = 0; step < steps; step++)
            {
                var clock = Stopwatch.StartNew();
                reference.Step(step, [.. rows.Skip(step * perStep).Take(perStep)]);
                times.Add(clock.Elapsed.TotalSeconds);
                processor.Add(Processor());
            }
        }
        long peak = WorkingSet(p => p.PeakWorkingSet64);
        int longest = rows.Max(r => r.InputIds.Length), workers = Workers.CountFor(options, model.Device, Threads);
        long planned = TrainingPlan.Compute(model.Config, options, DType, longest, workers: workers).TotalBytes;
        int first = IsQuartered ? 0 : 1, factor = RowsPerStep / perStep;
        double cpu = factor * processor.Zip(processor.Skip(1), (from, to) => (to - from).TotalSeconds).Skip(first).Min();
        double seconds = factor * times.Skip(first).Min();
        return new TrainingMeasure(seconds, cpu, peak / (double)(1 << 30), planned / (double)(peak - before), waited);
    }

    private static TimeSpan Processor()
    {
        using Process process = Process.GetCurrentProcess();
        return process.TotalProcessorTime;
    }

    private static long WorkingSet(Func<Process, long> read)
    {
        using Process process = Process.GetCurrentProcess();
        return read(process);
    }
}

/// <summary>Figures of one case.</summary>
/// <param name="Seconds">Of the fastest step after the first: other programs only ever take time away.</param>
/// <param name="ProcessorSeconds">Processor time of such a step: what the seconds would be on a machine that does nothing else, with one
/// thread.</param>
/// <param name="PeakGib">The process's peak working set.</param>
/// <param name="PlannedShare">What the plan says, over what the run took beside the bare runtime.</param>
/// <param name="WaitShare">The part of the steps' time in which they waited for input.</param>
internal sealed record TrainingMeasure(double Seconds, double ProcessorSeconds, double PeakGib, double PlannedShare, double WaitShare)
{
    public static TrainingMeasure Parse(string output)
    {
        double[] n = [.. output.Split(' ').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        return new TrainingMeasure(n[0], n[1], n[2], n[3], n[4]);
    }

    /// <summary>
    /// The other's time divided by this one's: processor time with one thread, which a busy machine does not change, else wall time.
    /// </summary>
    public double Speedup(TrainingMeasure other, int threads) =>
        threads == 1 ? other.ProcessorSeconds / ProcessorSeconds : other.Seconds / Seconds;

    public string Line => string.Create(CultureInfo.InvariantCulture, $"{Seconds} {ProcessorSeconds} {PeakGib} {PlannedShare} {WaitShare}");
}
