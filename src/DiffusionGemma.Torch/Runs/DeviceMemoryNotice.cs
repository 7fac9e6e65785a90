using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A warning where a run is planned to need more memory than its GPU has. The plan is an estimate there, so nothing is
/// refused.</summary>
internal static class DeviceMemoryNotice
{
    /// <summary>Returns the warning; null where the run should fit.</summary>
    /// <param name="plan">The run's plan, of one device.</param>
    /// <param name="device">The GPU.</param>
    /// <param name="memory">Its memory.</param>
    public static string? Of(TrainingPlan plan, Device device, CudaMemory memory) => plan.TotalBytes <= memory.Total ? null : string.Create(
        CultureInfo.InvariantCulture,
        $"The run is planned to need {plan.TotalBytes / 1e9:F1} GB of {device}, which has {memory.Total / 1e9:F1} GB: if memory runs out, "
            + $"set FineTuneOptions.Run.ActivationCheckpointing, lower FineTuneOptions.Run.MicroBatchSize, or load the frozen weights in "
            + $"fewer bits (FineTuneOptions.Quantization).");
}
