using static TorchSharp.torch;

namespace DiffusionGemma.Gpu;

/// <summary>
/// Part of stage 1: the products of all experts as one operator, which takes the ends of their rows from the device, against one product
/// for each expert; and what a training step with them reads. On a CPU the operator runs in libtorch's own slow form.
/// </summary>
internal static class ExpertsCheck
{
    /// <summary>bfloat16 has 8 bits of mantissa, and the operators round a product once each.</summary>
    private const double Band = 0.01;

    public static void Run(GpuOptions options, GpuReport report)
    {
        Device device = options.Device;
        (long experts, long outputs, long inputs) = options.IsQuick ? (8, 64, 32) : (128, 1408, 2816);
        report.Note("experts", GroupedProducts.Serve(device, ScalarType.BFloat16, inputs, outputs / 2)
            ? "one product of all experts" : "one product for each expert: counts of rows are read in every layer");
        // Evenly filled, with experts that have no row, and all rows to one.
        foreach ((string name, Func<int, int> count) in new (string, Func<int, int>)[]
        {
            ("even", _ => 16), ("with gaps", expert => expert % 3 == 0 ? 0 : expert % 5 * 7), ("one", expert => expert == 3 ? 200 : 0),
        })
            Products(name, [.. Enumerable.Range(0, (int)experts).Select(expert => (long)count(expert))], outputs, inputs, device, report);
        Reads(options, report);
    }

    private static void Products(string name, long[] counts, long outputs, long inputs, Device device, GpuReport report)
    {
        using var scope = NewDisposeScope();
        using IDisposable quiet = no_grad();
        using var generator = new Generator(1, CPU);
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float32, generator: generator).to(ScalarType.BFloat16).to(device);
        Tensor weights = Draw(counts.Length, outputs, inputs), x = Draw(counts.Sum(), inputs), dy = Draw(counts.Sum(), outputs);
        Tensor buffers = zeros([counts.Length, outputs, inputs], ScalarType.Float32, device), same = zeros_like(buffers);
        int end = 0;
        ExpertRows rows = ExpertRows.OnDevice(tensor(counts.Select(count => end += (int)count).ToArray(), device: device));
        Kernels.GroupedAddOuter(buffers, dy, x, rows);
        Kernels.GroupedAddOuter(same, dy, x, counts);
        double largest = new[]
        {
            Difference(Kernels.GroupedLinear(x, weights, rows), Kernels.GroupedLinear(x, weights, counts)),
            Difference(Kernels.GroupedMatMul(dy, weights, rows), Kernels.GroupedMatMul(dy, weights, counts)), Difference(buffers, same),
        }.Max();
        report.Check($"experts.products.{name}", largest <= Band, largest, "", $"relative difference, at most {Band}");
        report.Figure($"experts.products.{name}.seconds", DeviceClock.Seconds(device, 5, () =>
        {
            using var inner = NewDisposeScope();
            _ = Kernels.GroupedLinear(x, weights, rows);
        }), "s", $"one product of {counts.Length} experts [{outputs},{inputs}] with {counts.Sum()} rows");
    }

    /// <summary>Trains two steps and counts what the host reads.</summary>
    private static void Reads(GpuOptions options, GpuReport report)
    {
        var fixture = new TrainingFixture("nemo");
        using Checkpoint checkpoint = Checkpoint.Open(Fixtures.Checkpoint(fixture.CheckpointName));
        var reads = new CountingReads(options.Device);
        bool stays = options.IsCpu || GroupedProducts.Serve(
            options.Device, ScalarType.BFloat16, checkpoint.Config.HiddenSize, checkpoint.Config.MoeIntermediateSize);
        using DiffusionGemmaModel model = DiffusionGemmaModel.LoadShare(
            checkpoint, options.Device, ScalarType.BFloat16, new SingleRank(), reads: reads, countsOnDevice: options.IsCpu ? true : null);
        using FineTuneResult result = FineTuner.Fit(model, fixture.Examples, fixture.Options with
        {
            MaxSteps = 2,
            WarmupSteps = 1,
            Lora = new LoraOptions { Experts = true },
            Devices = [options.Device],
            Run = fixture.Options.Run with { DryRun = false },
        });
        model.Adapter = null;
        report.Check(
            "experts.reads", reads.Count == 2 || !stays, reads.Count, "",
            stays ? "reads of two training steps on one device: one each" : "reads of two training steps; counts of rows are read here");
    }

    /// <summary>Returns the root-mean-square of the difference, relative to that of the expected values.</summary>
    public static double Difference(Tensor got, Tensor expected)
    {
        using var scope = NewDisposeScope();
        Tensor want = expected.to(ScalarType.Float64), difference = got.to(ScalarType.Float64) - want;
        return Math.Sqrt(difference.square().mean().item<double>() / want.square().mean().item<double>());
    }
}
