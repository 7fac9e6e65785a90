using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Seconds of one canvas in eight denoising steps after a prompt of 128 tokens, for batches of 1, 8 and 32: ours and the reference
/// algorithm, each in a process of its own. At one thread seconds are the process's own, which other programs do not change. Random
/// weights: distributions are flat, so that a step accepts one position and no row stops early.
/// </summary>
internal static class DenoisingBenchmark
{
    private const int Prompt = 128, Steps = 8;

    /// <param name="threads">Torch's threads.</param>
    /// <param name="quick">The small shape.</param>
    /// <param name="only">Only cases whose names contain it; null: all, and the memory of many generations.</param>
    public static void Run(int threads, bool quick, string? only)
    {
        BenchmarkShape.Checkpoint(quick);
        foreach (int batch in new[] { 1, 8, 32 })
        {
            if (only is not null && $"batch{batch}" != only) continue;
            Dictionary<string, double> ours = InOwnProcess(batch, "ours", threads, quick), reference =
                InOwnProcess(batch, "reference", threads, quick);
            string name = $"denoising.batch{batch}";
            Figure.Print($"{name}.seconds", ours["seconds"], "s");
            Figure.Print($"{name}.tokens_per_s", ours["tokens"] / ours["seconds"], "tokens/s");
            Figure.Print($"{name}.ratio_time", reference["seconds"] / ours["seconds"], "x");
            Figure.Print($"{name}.step_seconds", ours["seconds"] / Steps, "s");
            Figure.Print($"{name}.steps_per_canvas", ours["steps"], "steps");
            Figure.Print($"{name}.peak_gib", ours["peak"], "GiB");
            Figure.Print($"{name}.ratio_memory", ours["peak"] / reference["peak"], "x");
            Figure.Print($"{name}.managed_bytes_per_step", ours["allocated"], "B");
        }
        if (only is not null) return;
        Dictionary<string, double> memory = InOwnProcess(1, "memory", threads, quick: true);
        Figure.Print("denoising.generations2000.growth_mib", memory["growth"], "MiB");
        Figure.Print("denoising.managed_bytes_per_step.8_steps", memory["short"], "B");
        Figure.Print("denoising.managed_bytes_per_step.64_steps", memory["long"], "B");
    }

    /// <summary>
    /// The process's memory after 200 and after 2 000 generations of the small shape, and what a step allocates in short and long runs.
    /// </summary>
    private static void MeasureMemory(DiffusionGemmaModel model)
    {
        var random = new Random(1);
        int Id() => random.Next(8, model.Config.VocabularySize);
        int[][] Prompts() => [[.. Enumerable.Range(0, random.Next(1, 64)).Select(_ => Id())]];
        var options = new GenerationOptions { MaxNewTokens = model.Config.CanvasLength, MaxDenoisingSteps = 2, EosTokenIds = [] };
        long Resident()
        {
            using Process process = Process.GetCurrentProcess();
            return process.WorkingSet64;
        }
        double Allocated(int steps)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            CanvasGenerator.Generate(model, Prompts(),
                options with { MaxNewTokens = 1, MaxDenoisingSteps = steps, ConfidenceThreshold = -1 });
            return (GC.GetAllocatedBytesForCurrentThread() - before) / (double)steps;
        }
        for (int n = 0; n < 200; n++) CanvasGenerator.Generate(model, Prompts(), options);
        long early = Resident();
        for (int n = 200; n < 2000; n++) CanvasGenerator.Generate(model, Prompts(), options);
        double growth = (Resident() - early) / (double)(1 << 20);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"growth {growth} short {Allocated(8)} long {Allocated(64)}"));
    }

    /// <summary>The child's part: the fastest of some runs, and the process's peak memory.</summary>
    public static void Measure(int batch, string algorithm, int threads, bool quick)
    {
        Machine.Note();
        using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(quick));
        set_num_threads(threads);
        if (algorithm == "memory")
        {
            MeasureMemory(model);
            return;
        }
        var random = new Random(1);
        int[][] prompts =
            [.. Enumerable.Range(0, batch)
                .Select(_ => Enumerable.Range(0, Prompt).Select(_ => random.Next(8, model.Config.VocabularySize)).ToArray())];
        var options =
            new GenerationOptions
            {
                MaxNewTokens = model.Config.CanvasLength, MaxDenoisingSteps = Steps, ConfidenceThreshold = 1e-9,
                EosTokenIds = []
            };
        double best = double.PositiveInfinity, tokens = 0, steps = 0, allocated = 0;
        using ReferenceAlgorithm? reference = algorithm == "ours" ? null : new ReferenceAlgorithm(model, null, trains: false);
        for (int run = 0; run < (batch == 32 ? 2 : 3); run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            var clock = Stopwatch.StartNew();
            TimeSpan processor = Processor();
            if (reference is null)
            {
                IReadOnlyList<GenerationResult> results = CanvasGenerator.Generate(model, prompts, options);
                (tokens, steps) = (results.Sum(r => r.Ids.Length), results.Average(r => r.StepsPerCanvas.Average()));
            }
            else
            {
                using Tensor ids = tensor(prompts.SelectMany(p => p.Select(id => (long)id)).ToArray()).view(batch, Prompt);
                using Tensor answers = reference.Generate(ids, Steps, 0.1, 0.4, 0.8);
                tokens = answers.numel();
            }
            best = Math.Min(best, (threads == 1 ? Processor() - processor : clock.Elapsed).TotalSeconds);
            allocated = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Steps;
        }
        using Process process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"seconds {best} tokens {tokens} steps {steps} peak {process.PeakWorkingSet64 / (double)(1 << 30)} allocated {allocated}"));
    }

    private static TimeSpan Processor()
    {
        using Process process = Process.GetCurrentProcess();
        return process.TotalProcessorTime;
    }

    private static Dictionary<string, double> InOwnProcess(int batch, string algorithm, int threads, bool quick)
    {
        string[] arguments =
            ["denoising-one", batch.ToString(CultureInfo.InvariantCulture), algorithm, threads.ToString(CultureInfo.InvariantCulture),
                quick.ToString()];
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', arguments)} failed.");
        Figure.Note($"batch {batch} {algorithm}: {output.Trim()}");
        string[] words = output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return Enumerable.Range(0, words.Length / 2)
            .ToDictionary(i => words[2 * i], i => double.Parse(words[(2 * i) + 1], CultureInfo.InvariantCulture));
    }
}
