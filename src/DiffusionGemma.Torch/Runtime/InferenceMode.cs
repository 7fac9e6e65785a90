using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Leaves an inference mode of the caller's: tensors that are made in one can never train.</summary>
internal static class InferenceMode
{
    /// <summary>Leaves it until the result is disposed.</summary>
    public static IDisposable? Leave() => is_inference_mode_enabled() ? inference_mode(false) : null;
}
