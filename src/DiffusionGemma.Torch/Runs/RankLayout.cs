using System.Globalization;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The ranks that train together: their devices, and the experts that each owns.</summary>
/// <param name="Devices">The devices of this process, a rank each.</param>
/// <param name="First">The number of the first of them among all ranks.</param>
/// <param name="World">Ranks of all processes.</param>
/// <param name="ExpertParallel">Ranks that own one set of the experts between them.</param>
/// <param name="Experts">Experts a layer.</param>
internal sealed record RankLayout(IReadOnlyList<Device> Devices, int First, int World, int ExpertParallel, int Experts)
{
    private bool IsCuda => Devices[0].type == DeviceType.CUDA;

    /// <summary>Chooses devices and ranks from the options, the launcher's environment and the machine.</summary>
    /// <exception cref="ArgumentException">An option does not fit the number of ranks, experts or processes.</exception>
    /// <exception cref="InvalidOperationException">The environment that a launcher left is not whole.</exception>
    public static RankLayout Resolve(FineTuneOptions options, DiffusionGemmaConfig config)
    {
        IReadOnlyList<Device>? named = options.Devices;
        bool isCuda = (named?[0] ?? DiffusionGemmaRuntime.DefaultDevice).type == DeviceType.CUDA;
        (int rank, int processes, int local) = Processes(isCuda);
        IReadOnlyList<Device> devices = named ?? Default(isCuda, processes, local);
        foreach (Device device in devices) DiffusionGemmaRuntime.EnsureUsable(device);
        if (processes > 1 && devices.Count > 1)
            throw new ArgumentException(
                $"FineTuneOptions.Devices names {devices.Count} devices, but a launcher has started {processes} processes, which are a "
                    + "rank each: name one in each, or start one process.", nameof(options));

        int world = processes > 1 ? processes : devices.Count, experts = config.NumExperts;
        int expertParallel = options.Parallel.ExpertParallel
            ?? TrainingPlan.ExpertOwners(config, world, null, processes > 1 ? RanksOfThisMachine(world) : world);
        if (world % expertParallel != 0)
            throw new ArgumentException(
                $"FineTuneOptions.Parallel.ExpertParallel is {expertParallel}, which does not divide the {world} ranks.", nameof(options));
        if (experts % expertParallel != 0)
            throw new ArgumentException(
                $"FineTuneOptions.Parallel.ExpertParallel is {expertParallel}, which does not divide the {experts} experts of a layer.",
                nameof(options));
        return new RankLayout(devices, rank, world, expertParallel, experts);
    }

    /// <summary>This process's ranks, connected with all others.</summary>
    public IReadOnlyList<IProcessGroup> Connect(TimeSpan timeout) => (IsCuda, World > Devices.Count) switch
    {
        (true, true) => [NcclProcessGroup.World(timeout, MpiProcessGroup.World)],
        (true, false) => NcclProcessGroup.Create([.. Devices.Select(device => device.index)], timeout),
        (false, true) => [MpiProcessGroup.World(timeout)],
        (false, false) => InProcessGroup.Create(World, timeout),
    };

    /// <summary>Describes which rank owns which experts, and the memory that each needs.</summary>
    public string Describe(TrainingPlan plan)
    {
        var text = new StringBuilder();
        int each = Experts / ExpertParallel;
        text.Append(CultureInfo.InvariantCulture, $"{World} ranks, experts split over {ExpertParallel} of them");
        if (World > ExpertParallel) text.Append(CultureInfo.InvariantCulture, $", {World / ExpertParallel} times");
        text.Append(". ");
        text.AppendJoin("; ", Devices.Select((device, n) => string.Create(
            CultureInfo.InvariantCulture,
            $"rank {First + n} on {device} owns experts "
                + $"{(First + n) % ExpertParallel * each}-{((First + n) % ExpertParallel + 1) * each - 1} of every layer")));
        text.Append(CultureInfo.InvariantCulture,
            $". Each: weights of experts {plan.ExpertBytes / 1e9:F3} GB, other weights {(plan.WeightBytes - plan.ExpertBytes) / 1e9:F3} "
                + $"GB, ");
        text.Append(CultureInfo.InvariantCulture,
            $"masters, moments and gradients {plan.TrainingStateBytes / 1e9:F3} GB, activations and logits "
                + $"{(plan.ActivationBytes + plan.HeadBytes) / 1e9:F3} GB.");
        return text.ToString();
    }

    /// <summary>Ranks on this machine, from the variables of torchrun, mpirun or Slurm; without them, all.</summary>
    private static int RanksOfThisMachine(int world)
    {
        string? given = new[] { "LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE" }.Select(
            Environment.GetEnvironmentVariable).FirstOrDefault(value => value is not null);
        return int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out int ranks) && ranks >= 1 && ranks <= world
            ? ranks : world;
    }

    /// <summary>The number of this process, of all processes, and of this process among those of its machine.</summary>
    private static (int Rank, int Count, int Local) Processes(bool isCuda)
    {
        if (!isCuda) return MpiProcessGroup.IsLaunched ? (MpiWorld.Instance.Rank, MpiWorld.Instance.Ranks.Count, 0) : (0, 1, 0);
        return LaunchEnvironment.Read(Environment.GetEnvironmentVariable) is { Size: > 1 } launch
            ? (launch.Rank, launch.Size, launch.LocalRank) : (0, 1, 0);
    }

    private static IReadOnlyList<Device> Default(bool isCuda, int processes, int local)
    {
        if (!isCuda) return [CPU];
        return processes > 1 ? [new Device(DeviceType.CUDA, local)]
            : [.. Enumerable.Range(0, cuda.device_count()).Select(n => new Device(DeviceType.CUDA, n))];
    }
}
