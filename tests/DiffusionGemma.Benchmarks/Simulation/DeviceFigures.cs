namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Speeds that one device and its links reach, for <see cref="StepSimulation"/>. All figures are of one device while all others work too.
/// </summary>
internal sealed record DeviceFigures
{
    /// <summary>
    /// Floating-point operations a second that products of matrices reach, in the dtype of the passes: less than what is sold.
    /// </summary>
    public required double FlopsPerSecond { get; init; }

    /// <summary>Bytes a second that come from or go to the device's memory.</summary>
    public required double MemoryBytesPerSecond { get; init; }

    /// <summary>Bytes a second that leave the device for others of its machine (as many come in at the same time).</summary>
    public required double LinkBytesPerSecond { get; init; }

    /// <summary>Bytes a second that leave the device for other machines (as many come in at the same time).</summary>
    public required double NetworkBytesPerSecond { get; init; }

    /// <summary>Seconds that a collective of two devices takes whatever its size; of n devices log2 n times as much, rounded up.</summary>
    public required double LatencySeconds { get; init; }

    /// <summary>Devices in one machine.</summary>
    public required int DevicesPerMachine { get; init; }

    /// <summary>Devices that compute at the same time: ranks of a CPU beyond its cores take turns. Null: all.</summary>
    public int? AtOnce { get; init; }

    /// <summary>
    /// An H100 SXM in a machine of eight, by data sheet: 30 % of 989 TFLOP/s in bfloat16 (dense), 80 % of 3.35 TB/s of memory, of 450 GB/s
    /// of NVLink each way, and of 400 Gb/s of InfiniBand a device; 10 µs a collective of two. The shares are usual ones, and were not
    /// measured here.
    /// </summary>
    public static DeviceFigures H100 { get; } = new()
    {
        FlopsPerSecond = 0.3 * 989e12, MemoryBytesPerSecond = 0.8 * 3.35e12, LinkBytesPerSecond = 0.8 * 450e9,
        NetworkBytesPerSecond = 0.8 * 50e9, LatencySeconds = 10e-6, DevicesPerMachine = 8,
    };

    /// <exception cref="ArgumentOutOfRangeException">A figure is not a positive number.</exception>
    internal void Validate()
    {
        static void Require(double value, string name)
        {
            if (!double.IsFinite(value) || value <= 0)
                throw new ArgumentOutOfRangeException($"DeviceFigures.{name}", value, $"DeviceFigures.{name} must be a positive number.");
        }
        Require(FlopsPerSecond, nameof(FlopsPerSecond));
        Require(MemoryBytesPerSecond, nameof(MemoryBytesPerSecond));
        Require(LinkBytesPerSecond, nameof(LinkBytesPerSecond));
        Require(NetworkBytesPerSecond, nameof(NetworkBytesPerSecond));
        Require(DevicesPerMachine, nameof(DevicesPerMachine));
        Require(AtOnce ?? 1, nameof(AtOnce));
        if (!double.IsFinite(LatencySeconds) || LatencySeconds < 0)
            throw new ArgumentOutOfRangeException(
                "DeviceFigures.LatencySeconds", LatencySeconds, "DeviceFigures.LatencySeconds must not be negative.");
    }
}
