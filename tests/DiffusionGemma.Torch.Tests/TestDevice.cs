using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The device that tests of the model, gradients, training, generation and quantised weights compute on:
/// <c>DIFFUSIONGEMMA_TEST_DEVICE=cuda</c> makes this suite a GPU's. Draws stay on the CPU, and what is compared comes back to it.
/// </summary>
internal static class TestDevice
{
    private const string Variable = "DIFFUSIONGEMMA_TEST_DEVICE";

    /// <summary>The named device, or the CPU.</summary>
    public static Device Current { get; } = Choose();

    private static Device Choose()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } name) return CPU;
        var device = new Device(name);
        DiffusionGemmaRuntime.EnsureUsable(device);
        // a float32 product of a GPU is then one of float32, as on a CPU
        backends.cuda.matmul.allow_tf32 = false;
        return device;
    }
}
