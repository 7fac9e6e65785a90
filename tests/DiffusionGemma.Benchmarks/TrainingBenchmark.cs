using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>Seconds an optimiser step of four rows, one row a micro-batch.</summary>
internal static class TrainingBenchmark
{
    public static void Run(int threads, bool quick)
    {
        string folder = BenchmarkShape.Checkpoint(quick);
        torch.set_num_threads(threads);
        foreach ((string name, LoraOptions? lora) in new[] { ("full", null), ("lora", new LoraOptions()) })
            foreach ((string precision, torch.ScalarType dtype) in new[] { ("fp32", torch.ScalarType.Float32), ("bf16", torch.ScalarType.BFloat16) })
            {
                using var model = DiffusionGemmaModel.Load(folder, dtype: dtype);
                var options = new FineTuneOptions { Lora = lora, GlobalBatchSize = 4, MaxSteps = quick ? 3 : 4, WarmupSteps = 1 };
                using FineTuneResult result = FineTuner.Fit(model, BenchmarkShape.Rows(16, model.Config), options);
                Figure.Print($"training.{name}.{precision}.seconds", result.History.Skip(1).Min(s => s.Seconds), "s");
                model.Adapter = null;
            }
    }
}
