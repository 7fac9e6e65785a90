using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class DiffusionGemmaRuntimeTests
{
    [Fact]
    public void What_was_found_is_said_in_words()
    {
        string text = DiffusionGemmaRuntime.Describe();
        Assert.Contains("TorchSharp 0.107.0", text, StringComparison.Ordinal);
        Assert.Contains(": mended", text, StringComparison.Ordinal);
        Assert.Matches(@"libtorch 2\.1[01]\.\d+, (of the application|from .+, self-test passed)", text);
        Assert.Contains($".NET {Environment.Version}", text, StringComparison.Ordinal);
        Assert.Contains("Devices: CPU", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_assembly_of_this_process_is_mended() => Assert.True(DiffusionGemmaRuntime.IsMended);

    [Fact]
    public void A_device_that_is_not_there_is_refused_with_what_to_do()
    {
        DiffusionGemmaRuntime.EnsureUsable(CPU);
        var none = new Device(DeviceType.CUDA, cuda.is_available() ? cuda.device_count() : 0);
        string message = Assert.Throws<PlatformNotSupportedException>(() => DiffusionGemmaRuntime.EnsureUsable(none)).Message;
        Assert.Contains("cuda", message, StringComparison.Ordinal);
        Assert.Matches("no NVIDIA GPU or driver was found|TorchSharp-cuda|this machine has", message);
        Assert.Throws<PlatformNotSupportedException>(() => DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), none));
    }

    [Fact]
    public void Without_a_GPU_runs_take_the_CPU()
    {
        if (File.Exists("/dev/nvidia0")) Assert.Skip("This machine has an NVIDIA GPU.");
        Assert.Equal(DeviceType.CPU, DiffusionGemmaRuntime.DefaultDevice.type);
    }
}
