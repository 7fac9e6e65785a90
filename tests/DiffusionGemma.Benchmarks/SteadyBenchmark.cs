using System.Diagnostics;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Two thousand steps of the quick shape: whether memory stays as it is, and how much of the time is spent waiting for input.
/// </summary>
internal static class SteadyBenchmark
{
    private const int Steps = 2000, Rows = 8;

    public static void Run(int threads, bool quick)
    {
        DiffusionGemmaRuntime.EnsureUsable();
        TorchSharp.torch.set_num_threads(threads);
        int steps = quick ? Steps / 10 : Steps;
        foreach (string kind in new[] { "full", "lora" })
        {
            using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(quick: true));
            IReadOnlyList<TrainingExample> rows = BenchmarkShape.Rows(Rows, model.Config, prompt: 16, response: BenchmarkShape.Canvas);
            var options = new FineTuneOptions
            {
                Lora = kind == "lora" ? new LoraOptions() : null, GlobalBatchSize = 2, Epochs = steps, MaxSteps = steps,
                LearningRate = 1e-5, Optimizer = new() { MinLearningRate = 0 },
            };
            using FineTuneResult result = FineTuner.Fit(model, rows, options, new ImmediateProgress<StepRecord>(record =>
            {
                int done = record.Step + 1;
                if (done % (steps / 4) != 0) return;
                using Process process = Process.GetCurrentProcess();
                Figure.Print($"steady.{kind}.step{done}.mib", process.WorkingSet64 / 1048576.0, "MiB");
            }));
            StepRecord[] later = [.. result.History.Skip(1)];
            Figure.Print($"steady.{kind}.input_share", 100 * later.Sum(r => r.WaitSeconds) / later.Sum(r => r.Seconds), "percent");
            model.Adapter = null;
        }
    }
}
