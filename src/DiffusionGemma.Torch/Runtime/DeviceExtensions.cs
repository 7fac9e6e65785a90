using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Devices for <see cref="FineTuneOptions.Devices"/>.</summary>
public static class DeviceExtensions
{
    extension(Device)
    {
        /// <summary>The CPU, as so many ranks: each has its own thread and its part of the cores.</summary>
        /// <param name="ranks">1 or more.</param>
        public static IReadOnlyList<Device> Cpu(int ranks)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(ranks, 1);
            DiffusionGemmaRuntime.EnsureUsable();
            return [.. Enumerable.Repeat(CPU, ranks)];
        }
    }
}
