using System.Globalization;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// plan FOLDER [--full] [--checkpointing] [--tokens N] [--devices N] [--batch N] [--micro N] [--float32]: what a run would need, from its
/// config.json alone.
/// </summary>
internal static class PlanCommand
{
    public static void Run(string folder, string[] rest)
    {
        int Number(string option, int otherwise) =>
            rest.SkipWhile(a => a != option).Skip(1).FirstOrDefault() is { } given
                ? int.Parse(given, CultureInfo.InvariantCulture)
                : otherwise;
        var options = new FineTuneOptions
        {
            Lora = rest.Contains("--full") ? null : new LoraOptions(),
            Run = new() { ActivationCheckpointing = rest.Contains("--checkpointing"), MicroBatchSize = Number("--micro", 1) },
            GlobalBatchSize = Number("--batch", 8),
        };
        torch.ScalarType dtype = rest.Contains("--float32") ? torch.ScalarType.Float32 : torch.ScalarType.BFloat16;
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);
        Console.Write(TrainingPlan.Compute(config, options, dtype, Number("--tokens", 1024), Number("--devices", 1)));
    }
}
