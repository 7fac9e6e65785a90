using System.Globalization;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// simulate FOLDER: how long a step will take on many devices, from the folder's config.json alone. Options: --full, --checkpointing,
/// --float32; --devices N (8, 64 and 512), --expert-parallel N, --tokens N, --batch N (8 a device), --micro N; and of a device --flops,
/// --memory, --link, --network (a second), --latency (seconds), --machine N.
/// </summary>
internal static class SimulateCommand
{
    public const int RowTokens = 1024;

    private const int RowsPerDevice = 8;

    public static IReadOnlyList<int> Devices { get; } = [8, 64, 512];

    /// <summary>Full fine-tuning with eight rows a device.</summary>
    public static FineTuneOptions Options(int devices) =>
        new() { GlobalBatchSize = RowsPerDevice * devices, Run = new() { MicroBatchSize = 1 } };

    public static void Run(string folder, string[] rest)
    {
        string? Given(string option) => rest.SkipWhile(a => a != option).Skip(1).FirstOrDefault();
        int? Number(string option) => Given(option) is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : null;
        double Real(string option, double otherwise) =>
            Given(option) is { } given ? double.Parse(given, CultureInfo.InvariantCulture) : otherwise;
        DeviceFigures usual = DeviceFigures.H100;
        var figures = new DeviceFigures
        {
            FlopsPerSecond = Real("--flops", usual.FlopsPerSecond), MemoryBytesPerSecond = Real("--memory", usual.MemoryBytesPerSecond),
            LinkBytesPerSecond = Real("--link", usual.LinkBytesPerSecond),
            NetworkBytesPerSecond = Real("--network", usual.NetworkBytesPerSecond),
            LatencySeconds = Real("--latency", usual.LatencySeconds), DevicesPerMachine = Number("--machine") ?? usual.DevicesPerMachine,
        };
        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(folder);
        foreach (int devices in Number("--devices") is int one ? [one] : Devices)
        {
            FineTuneOptions options = Options(devices);
            options = options with
            {
                Lora = rest.Contains("--full") ? null : new LoraOptions(),
                Run = options.Run with
                {
                    ActivationCheckpointing = rest.Contains("--checkpointing"),
                    MicroBatchSize = Number("--micro") ?? options.Run.MicroBatchSize,
                },
                GlobalBatchSize = Number("--batch") ?? options.GlobalBatchSize,
            };
            torch.ScalarType dtype = rest.Contains("--float32") ? torch.ScalarType.Float32 : torch.ScalarType.BFloat16;
            Console.WriteLine(StepSimulation.Simulate(
                config, options, dtype, Number("--tokens") ?? RowTokens, devices, Number("--expert-parallel"), figures));
        }
    }
}
