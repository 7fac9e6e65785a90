using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Copies from the host to a device. To a GPU the copy starts from pinned memory, and the host goes on: an ordinary copy would wait until
/// the device has done all that was asked of it before.
/// </summary>
internal static class HostCopy
{
    /// <summary>Copies a tensor.</summary>
    /// <param name="host">On the CPU; may be freed as soon as this returns.</param>
    /// <param name="device">Where the copy goes.</param>
    /// <returns>The copy; the same tensor where the device is the CPU.</returns>
    public static Tensor Send(Tensor host, Device device)
    {
        if (device.type != DeviceType.CUDA) return host.to(device);
        // libtorch keeps pinned memory that is freed until the copies out of it are done
        using Tensor pinned = TorchOperators.Pinned(host);
        return pinned.to(device, non_blocking: true);
    }
}
