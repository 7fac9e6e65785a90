using System.Globalization;
using System.Numerics;
using System.Text;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Predicted duration of an optimiser step on a number of devices, and its largest part, computed from the configuration, the options and
/// the devices' figures alone. Nothing overlaps, as in this library: the parts add up.
/// </summary>
/// <remarks>
/// Operations are <see cref="TrainingPlan"/>'s. Bytes between devices are counted exactly as the code moves them; links inside a machine
/// and between machines work at the same time. Bytes of memory are counted along the code where they are many (optimiser, gradients that
/// add up, weights read by every pass, the head's chunks) and estimated for elementwise work (what a pass keeps is written and read once
/// forward, four times more with a backward). Rows are of one length, the router spreads tokens evenly over experts, ranks of one set of
/// experts are in as few machines as possible. Attention's own products (scores, values) are not counted.
/// </remarks>
internal sealed record StepSimulation
{
    /// <summary>Devices.</summary>
    public required int Devices { get; init; }

    /// <summary>Devices that share one set of all experts.</summary>
    public required int ExpertParallel { get; init; }

    /// <summary>Micro-batches that follow each other.</summary>
    public required int Rounds { get; init; }

    /// <summary>Tokens of all rows of a step.</summary>
    public required long Tokens { get; init; }

    /// <summary>Seconds of products of matrices, were the work spread evenly.</summary>
    public required double ProductSeconds { get; init; }

    /// <summary>Seconds of everything that waits for memory: optimiser, gradients, weights, norms and other elementwise passes.</summary>
    public required double MemorySeconds { get; init; }

    /// <summary>Seconds in which rows are on their way to experts and back.</summary>
    public required double AllToAllSeconds { get; init; }

    /// <summary>
    /// Seconds in which gradients are summed and new weights given out (reduce-scatter, all-gather), and single numbers summed.
    /// </summary>
    public required double GradientSeconds { get; init; }

    /// <summary>
    /// Seconds for which devices wait on average: rounds without a micro-batch for each, and first passes that not all make.
    /// </summary>
    public required double IdleSeconds { get; init; }

    /// <summary>Bytes that leave a device for experts of others, and come back, on average.</summary>
    public required double AllToAllBytes { get; init; }

    /// <summary>Bytes that leave a device in reduce-scatters and all-gathers.</summary>
    public required double GradientBytes { get; init; }

    /// <summary>Floating-point operations of a step, of all devices together.</summary>
    public required double StepFlops { get; init; }

    /// <summary>A step.</summary>
    public double Seconds => Parts.Sum(part => part.Seconds);

    /// <summary>Tokens of rows a second, of all devices together.</summary>
    public double TokensPerSecond => Tokens / Seconds;

    /// <summary>The largest of the parts.</summary>
    public string Limit => Parts.MaxBy(part => part.Seconds).Name;

    private IReadOnlyList<(string Name, double Seconds)> Parts =>
    [
        ("products", ProductSeconds), ("memory", MemorySeconds), ("all-to-all", AllToAllSeconds),
            ("reduce-scatter and all-gather", GradientSeconds), ("idle", IdleSeconds),
    ];

    /// <summary>Simulates a step.</summary>
    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="options">How to train.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="rowTokens">Tokens of every row.</param>
    /// <param name="devices">Devices.</param>
    /// <param name="expertParallel">Devices that own one set of the experts between them; divides both numbers. Null: as many as may be
    /// within a machine.</param>
    /// <param name="figures">Speeds of a device and its links.</param>
    /// <exception cref="ArgumentException">A number does not fit, or a figure is not positive.</exception>
    public static StepSimulation Simulate(
        DiffusionGemmaConfig config, FineTuneOptions options, ScalarType dtype, int rowTokens, int devices, int? expertParallel,
        DeviceFigures figures)
    {
        figures.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(rowTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(devices, 1);
        int owners = TrainingPlan.ExpertOwners(config, devices, expertParallel, figures.DevicesPerMachine);
        long compute = dtype == ScalarType.BFloat16 ? 2 : dtype == ScalarType.Float64 ? 8 : 4;
        var work = StepWork.Count(config, options, compute, rowTokens, devices, owners);
        var traffic = StepTraffic.Count(config, options, compute, rowTokens, devices, owners);
        IReadOnlyList<int[][]> rounds = StepTraffic.Rounds(options, rowTokens, devices);
        int atOnce = Math.Min(devices, figures.AtOnce ?? devices);

        // The busiest worker's rows, its own and (in rows of one device) of its experts; and its first passes.
        RowLoad even = RowLoad.Even(options, atOnce),
            busiest = RowLoad.Busiest(rounds, owners, atOnce, options.Objective.SelfConditioningProbability);
        double products = work.Flops(even) / figures.FlopsPerSecond, rows = work.Bytes(even) / figures.MemoryBytesPerSecond;
        double idle = Math.Max(
            0, work.Flops(busiest) / figures.FlopsPerSecond + work.Bytes(busiest) / figures.MemoryBytesPerSecond - products - rows);

        int machine = Math.Min(devices, figures.DevicesPerMachine), mates = Math.Min(owners, machine), replicas = devices / owners;
        double exchanged = traffic.AllToAll / devices, latency = figures.LatencySeconds;
        double within = exchanged * (mates - 1) / owners, between = exchanged * (owners - mates) / owners;
        double exchanges = Math.Max(within / figures.LinkBytesPerSecond, between / figures.NetworkBytesPerSecond)
            + traffic.AllToAllCalls * latency * Doublings(owners);

        double Ring(double bytes, int size, int mates)
        {
            // One link of the ring leaves a machine; as many rings as it has members go round, each through a member's own.
            double leaving = bytes * (size - 1) / size;
            return Math.Max(
                mates > 1 ? leaving / figures.LinkBytesPerSecond : 0, size > mates ? leaving / (mates * figures.NetworkBytesPerSecond) : 0);
        }
        double experts = traffic.ExpertGradients + traffic.ExpertWeights, others = traffic.OtherGradients + traffic.OtherWeights;
        double gradients = Ring(experts, replicas, Math.Min(replicas, Math.Max(1, machine / owners))) + Ring(others, devices, machine)
            + (2 * traffic.Buckets + traffic.AllReduceCalls) * latency * Doublings(devices);
        return new StepSimulation
        {
            Devices = devices,
            ExpertParallel = owners,
            Rounds = rounds.Count,
            Tokens = (long)options.GlobalBatchSize * rowTokens,
            ProductSeconds = products,
            MemorySeconds = rows + work.PassBytes(rounds, owners, atOnce) / figures.MemoryBytesPerSecond,
            AllToAllSeconds = exchanges,
            GradientSeconds = gradients,
            IdleSeconds = idle,
            AllToAllBytes = exchanged * (owners - 1) / owners,
            GradientBytes = experts * (replicas - 1) / replicas + others * (devices - 1) / devices,
            StepFlops = work.Flops(RowLoad.Even(options, 1)),
        };
    }

    /// <summary>A table.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        void Line(string name, string value) => text.AppendLine(CultureInfo.InvariantCulture, $"{name,-32}{value,18}");
        static string Number(double value, string unit) => string.Create(CultureInfo.InvariantCulture, $"{value:N3} {unit}");
        Line("devices", string.Create(CultureInfo.InvariantCulture, $"{Devices / ExpertParallel} x {ExpertParallel}"));
        Line("rounds", Rounds.ToString(CultureInfo.InvariantCulture));
        foreach ((string name, double seconds) in Parts) Line(name, Number(seconds, "s"));
        Line("a step", Number(Seconds, "s"));
        Line("tokens a second", TokensPerSecond.ToString("N0", CultureInfo.InvariantCulture));
        Line("limited by", Limit);
        Line("sent for experts, a device", Number(AllToAllBytes / 1e9, "GB"));
        Line("  for gradients and weights", Number(GradientBytes / 1e9, "GB"));
        Line("arithmetic, all devices", Number(StepFlops / 1e12, "TFLOP"));
        return text.ToString();
    }

    private static int Doublings(int size) => size == 1 ? 0 : BitOperations.Log2((uint)(size - 1)) + 1;
}
