using Microsoft.ML.Runtime;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// Chooses devices as ML.NET's own deep-learning trainers do: what is named, then <c>MLContext.GpuDeviceId</c>, then the machine's own
/// choice; <c>MLContext.FallbackToCpu</c> decides where a GPU that was asked for is not there.
/// </summary>
internal static class DeviceChoice
{
    /// <summary>The devices to train on; null: every GPU of the machine, or the CPU.</summary>
    /// <param name="environment">The context's.</param>
    /// <param name="named">Named by the caller; null: none are.</param>
    /// <param name="option">The option that names them, for messages.</param>
    /// <exception cref="PlatformNotSupportedException">One is not there, and <c>FallbackToCpu</c> is false.</exception>
    public static IReadOnlyList<torch.Device>? Choose(IHostEnvironment environment, IReadOnlyList<torch.Device>? named, string option)
    {
        var context = environment as IHostEnvironmentInternal;
        IReadOnlyList<torch.Device>? asked = named;
        if (named is null && context?.GpuDeviceId is int index)
            (asked, option) = ([new torch.Device(DeviceType.CUDA, index)], "MLContext.GpuDeviceId");
        if (asked is null) return null;
        foreach (torch.Device device in asked)
        {
            if (DiffusionGemmaRuntime.IsAvailable(device, out string reason)) continue;
            string fault = $"{option} asks for {device}, which is not there: {reason}";
            if (context?.FallbackToCpu != true)
                throw new PlatformNotSupportedException($"{fault} Name another device, or set MLContext.FallbackToCpu.");
            using IChannel log = environment.Start(nameof(DeviceChoice));
            log.Warning(MessageSensitivity.None, $"{fault} The CPU is used, as MLContext.FallbackToCpu allows.");
            return [torch.CPU];
        }
        return asked;
    }

    /// <summary>The device of a loaded model.</summary>
    /// <exception cref="PlatformNotSupportedException">It is not there, and <c>FallbackToCpu</c> is false.</exception>
    public static torch.Device OfLoadedModel(IHostEnvironment environment)
    {
        torch.Device? named = DiffusionGemmaCheckpoints.Device;
        return Choose(
            environment, named is null ? null : [named], $"{nameof(DiffusionGemmaCheckpoints)}.{nameof(DiffusionGemmaCheckpoints.Device)}")
            ?[0] ?? DiffusionGemmaRuntime.DefaultDevice;
    }
}
