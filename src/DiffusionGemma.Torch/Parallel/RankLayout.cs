using System.Globalization;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Which ranks train together, on which devices, and who owns which experts.</summary>
/// <param name="Devices">This process's, a rank each.</param>
/// <param name="World">Ranks of all processes.</param>
/// <param name="ExpertParallel">Ranks that own one set of the experts between them.</param>
/// <param name="Experts">Experts a layer.</param>
internal sealed record RankLayout(IReadOnlyList<Device> Devices, int World, int ExpertParallel, int Experts)
{
    /// <exception cref="ArgumentException">An option does not fit the number of ranks or experts.</exception>
    public static RankLayout Of(FineTuneOptions options, DiffusionGemmaConfig config)
    {
        IReadOnlyList<Device> devices = options.Devices ?? (options.Device is { } one ? [one] : DefaultDevices());
        foreach (Device device in devices) DiffusionGemmaRuntime.EnsureUsable(device);
        int world = devices.Count, experts = config.NumExperts;
        int expertParallel = options.ExpertParallel ?? Enumerable.Range(1, world).Last(n => world % n == 0 && experts % n == 0);
        if (world % expertParallel != 0)
            throw new ArgumentException($"FineTuneOptions.ExpertParallel is {expertParallel}, which does not divide the {world} ranks.", nameof(options));
        if (experts % expertParallel != 0)
            throw new ArgumentException($"FineTuneOptions.ExpertParallel is {expertParallel}, which does not divide the {experts} experts of a layer.", nameof(options));
        return new RankLayout(devices, world, expertParallel, experts);
    }

    /// <summary>This process's ranks, connected with all others.</summary>
    public IReadOnlyList<IProcessGroup> Connect(TimeSpan timeout) => InProcessGroup.Create(World, timeout);

    /// <summary>Who owns what.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        int each = Experts / ExpertParallel;
        text.Append(CultureInfo.InvariantCulture, $"{World} ranks, {World / ExpertParallel} x {ExpertParallel}: ");
        text.AppendJoin("; ", Devices.Select((device, rank) =>
            string.Create(CultureInfo.InvariantCulture, $"rank {rank} on {device} owns experts {rank % ExpertParallel * each}-{(rank % ExpertParallel + 1) * each - 1} of every layer")));
        return text.ToString();
    }

    private static IReadOnlyList<Device> DefaultDevices()
    {
        Device first = DiffusionGemmaRuntime.DefaultDevice;
        return first.type == DeviceType.CUDA ? [.. Enumerable.Range(0, cuda.device_count()).Select(n => new Device(DeviceType.CUDA, n))] : [first];
    }
}
