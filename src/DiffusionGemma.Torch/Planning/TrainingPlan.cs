using System.Globalization;
using System.Text;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Memory and arithmetic that a run needs of one device, computed from the configuration and the options alone, before anything is
/// loaded. On several devices: experts split over them, all else replicated in the compute dtype; of the float32 master weights and moments
/// of everything a device's shard; gradients of its own experts, and of all else until they are reduced.
/// </summary>
/// <remarks>
/// Counted tensor by tensor, following the code: <see cref="WeightBytes"/> to <see cref="HeadBytes"/>. <see cref="OverheadBytes"/> is what
/// a process takes besides tensors: code that the libraries generate, and in a CPU's memory the holes that the C library's heap has between
/// activations. Both are measured on the benchmarks' shape (Benchmarks -- plan-check holds the sum against measured peaks); the first is
/// negligible beside a real model. On CUDA devices it is an estimate of one GiB, and blocks that the allocator keeps are not counted.
/// </remarks>
public sealed record TrainingPlan
{
    /// <summary>Text parameters, experts included.</summary>
    public required long Parameters { get; init; }

    /// <summary>Parameters in expert stacks.</summary>
    public required long ExpertParameters { get; init; }

    /// <summary>Parameters that train.</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>Bytes of the weights that passes are computed with.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of master weights (where they are kept beside the weights), of both moments, and of gradients.</summary>
    public required long TrainingStateBytes { get; init; }

    /// <summary>Bytes that the passes over one micro-batch keep for the backward.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Bytes of logits, of the head's chunks and of its gradient.</summary>
    public required long HeadBytes { get; init; }

    /// <summary>
    /// Bytes that the libraries and the heap take beside tensors: measured on a CPU, an estimate where <see
    /// cref="FineTuneOptions.Devices"/>
    /// names CUDA devices; 0 on several devices that are not named.
    /// </summary>
    public required long OverheadBytes { get; init; }

    /// <summary>Floating-point operations of one optimiser step, of this device alone.</summary>
    public required double StepFlops { get; init; }

    /// <summary>Devices that share the work.</summary>
    public required int Devices { get; init; }

    /// <summary>The part of <see cref="WeightBytes"/> in this device's experts.</summary>
    public required long ExpertBytes { get; init; }

    /// <summary>Everything at once, on one device.</summary>
    public long TotalBytes => WeightBytes + TrainingStateBytes + ActivationBytes + HeadBytes + OverheadBytes;

    /// <summary>Plans a run.</summary>
    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="options">How to train.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="rowTokens">Tokens of the longest row.</param>
    /// <param name="devices">Devices.</param>
    /// <param name="expertParallel">Devices that share one set of all experts; divides the number of devices and of experts. Null: as many
    /// as possible.</param>
    /// <param name="workers">Micro-batches that a device works on at once (<see cref="ParallelismOptions.Workers"/>).</param>
    public static TrainingPlan Compute(DiffusionGemmaConfig config, FineTuneOptions options, ScalarType dtype, int rowTokens,
        int devices = 1, int? expertParallel = null, int workers = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(devices, 1);
        int owners = ExpertOwners(config, devices, expertParallel);
        long compute = dtype == ScalarType.BFloat16 ? 2 : dtype == ScalarType.Float64 ? 8 : 4, wide = Math.Max(compute, 4);
        var shapes = CheckpointLayout.Expected(config).ToDictionary(e => e.Key, e => e.Value.Aggregate(1L, (a, b) => a * b));
        bool isCuda = options.Devices?[0].type == TorchSharp.DeviceType.CUDA;
        bool isCpu = !isCuda && (devices == 1 && options.Devices?[0].type is null or TorchSharp.DeviceType.CPU);
        bool isMapped = isCpu && options.Lora is not null;
        var stored = shapes.ToDictionary(
            e => e.Key, e => e.Value * WeightStorage.BytesOf(e.Key, config, options.Quantization, compute, isMapped));
        double expertBytes = stored.Where(s => s.Key.Contains(".experts.", StringComparison.Ordinal)).Sum(s => s.Value) / owners;
        double otherBytes = stored.Where(s => !s.Key.Contains(".experts.", StringComparison.Ordinal)).Sum(s => s.Value);
        long parameters = shapes.Values.Sum(),
            experts = shapes.Where(s => s.Key.Contains(".experts.", StringComparison.Ordinal)).Sum(s => s.Value);
        bool isFull = options.Lora is null;
        (long trainedStacks, long trainedRest) = options.Lora is { } lora
            ? LoraParameters(config, lora)
            : (experts, shapes.Where(s => FullFineTuning.Trains(s.Key)).Sum(s => s.Value) - experts);
        long trained = trainedStacks + trainedRest;
        // Shares of flat buffers are masters of their own; on one device weights that are wide enough are theirs.
        long StateBytes(long parameters, int shares) =>
            parameters * ((shares > 1 || isFull && compute < wide ? wide : 0) + 2 * wide) / shares + parameters * wide;
        long state = StateBytes(trainedStacks / owners, devices / owners) + StateBytes(trainedRest, devices);

        int rows = Math.Min(options.Run.MicroBatchSize, (options.GlobalBatchSize + devices - 1) / devices);
        if (options.Run.MicroBatchTokens is int most) rows = Math.Max(1, Math.Min(rows, most / rowTokens));
        rows *= workers;
        IEnumerable<int> layers = Enumerable.Range(0, config.NumHiddenLayers);
        long activations = options.Run.ActivationCheckpointing
            ? layers.Sum(n => rows * ((long)rowTokens + config.CanvasLength) * (config.HiddenSize + 2 * KeyWidth(config, n)) * compute)
                + layers.Max(n => rows * LayerBytes(config, n, rowTokens, compute, options.Lora?.Rank ?? 0, isCuda))
            : layers.Sum(n => rows * LayerBytes(config, n, rowTokens, compute, options.Lora?.Rank ?? 0, isCuda));
        long head = HeadTransient(config, options, rows, rowTokens, compute, wide),
            expertBackward =
            rows * (long)rowTokens * config.TopKExperts * (2L * config.HiddenSize + 6L * config.MoeIntermediateSize) * compute;
        // One product of all experts needs a quantised stack widened, and gives a trained one's gradient in one piece.
        bool isWidened = expertBytes * owners < experts * compute;
        if (isCuda && compute == 2 && owners == 1 && (isFull || isWidened))
            expertBackward += 2L * config.NumExperts * config.MoeIntermediateSize * config.HiddenSize * compute
                + (isWidened ? GroupedProducts.WideningBytes : 0);
        return new TrainingPlan
        {
            Devices = devices,
            Parameters = parameters,
            ExpertParameters = experts,
            TrainedParameters = trained,
            ExpertBytes = (long)expertBytes,
            WeightBytes = (long)(expertBytes + otherBytes)
            + (isFull ? 0 : (trainedStacks / owners + trainedRest) * wide),
            TrainingStateBytes = state + (workers - 1) * trained * wide,
            ActivationBytes = activations,
            HeadBytes = Math.Max(head, expertBackward),
            OverheadBytes = isCuda ? CudaBytes : !isCpu ? 0 : (compute < 4 ? NarrowLibraryBytes : LibraryBytes)
            + (long)(HeapHoles * (activations + Math.Max(head, expertBackward))),
            StepFlops = Flops(config, options, rowTokens, parameters, experts) / devices,
        };
    }

    /// <summary>A table.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        void Line(string name, string value) => text.AppendLine(CultureInfo.InvariantCulture, $"{name,-32}{value,18}");
        static string Size(long bytes) => bytes >= 1_000_000_000
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:F2} GB")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:F2} MB");
        static string Operations(double flops) => flops >= 1e12
            ? string.Create(CultureInfo.InvariantCulture, $"{flops / 1e12:F2} TFLOP")
            : string.Create(CultureInfo.InvariantCulture, $"{flops / 1e9:F2} GFLOP");
        static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
        Line("parameters", Count(Parameters));
        Line("  of them in experts", Count(ExpertParameters));
        Line("  of them training", Count(TrainedParameters));
        Line("devices", Count(Devices));
        Line("on each: weights of experts", Size(ExpertBytes));
        Line("  other weights", Size(WeightBytes - ExpertBytes));
        Line("  master, moments, gradients", Size(TrainingStateBytes));
        Line("  activations", Size(ActivationBytes));
        Line("  logits, or experts' backward", Size(HeadBytes));
        Line("  libraries and heap", Size(OverheadBytes));
        Line("  memory", Size(TotalBytes));
        Line("  a step", Operations(StepFlops));
        Line("a step of all devices", Operations(StepFlops * Devices));
        return text.ToString();
    }

    /// <summary>
    /// Bytes of libraries, generated code and the managed heap during a run; in bfloat16 with oneDNN's kernels, one for each shape.
    /// </summary>
    private const long LibraryBytes = 10L << 20, NarrowLibraryBytes = 140L << 20;

    /// <summary>
    /// Bytes of CUDA's context, of kernels, and of the workspaces of its libraries on each device: an estimate, until a GPU has been
    /// measured.
    /// </summary>
    private const long CudaBytes = 1L << 30;

    /// <summary>Bytes in holes of the heap, for each byte that is kept between them.</summary>
    private const double HeapHoles = 1.7;

    /// <summary>
    /// Devices that share one set of all experts; by default the largest possible number within a machine, because tokens are exchanged in
    /// every layer and everything else once a step.
    /// </summary>
    /// <exception cref="ArgumentException">The number does not divide the devices and the experts.</exception>
    internal static int ExpertOwners(DiffusionGemmaConfig config, int devices, int? expertParallel, int machine = int.MaxValue)
    {
        machine = Math.Min(machine, devices);
        int owners = expertParallel
            ?? Enumerable.Range(1, machine).Last(n => machine % n == 0 && devices % n == 0 && config.NumExperts % n == 0);
        return owners >= 1 && devices % owners == 0 && config.NumExperts % owners == 0
            ? owners
            : throw new ArgumentException(
                $"{config.NumExperts} experts cannot be split over {owners} of {devices} devices: name a number that divides both.",
                nameof(expertParallel));
    }

    private static long QueryWidth(DiffusionGemmaConfig config, int n) => (long)config.NumAttentionHeads * config.Layer(n).HeadDim;

    private static long KeyWidth(DiffusionGemmaConfig config, int n) => (long)config.Layer(n).KeyValueHeads * config.Layer(n).HeadDim;

    /// <summary>
    /// Bytes that one layer keeps of a row for its backward, both passes, counted along TransformerLayer.Forward: the inputs of its norms,
    /// of its projections and of the experts; queries and keys before and after their norms; what attention needs again; gates and ups.
    /// </summary>
    private static long LayerBytes(DiffusionGemmaConfig c, int n, int rowTokens, long compute, int rank, bool isCuda)
    {
        long canvas = c.CanvasLength, tokens = rowTokens + canvas, query = QueryWidth(c, n), keys = KeyWidth(c, n);
        long numbers = 9L * c.HiddenSize + 4 * query + 4 * keys + 3L * c.IntermediateSize + 2L * c.TopKExperts * c.MoeIntermediateSize
            + 7L * rank;
        long wide = c.NumExperts + 6L * c.TopKExperts + 6L * c.TopKExperts + (compute < 4 ? c.HiddenSize : 0);
        long seen = c.Layer(n).Kind == AttentionKind.Sliding ? Math.Min(rowTokens, c.SlidingWindow + Attention.QueryBlock)
            : (rowTokens + Attention.QueryBlock) / 2;
        long masks = rowTokens * Math.Min(rowTokens, seen) + canvas * tokens, canvasKeys = 2 * keys * tokens;
        // A GPU's fused attention takes as many heads of keys and values as of queries.
        if (isCuda && compute == 2 && query != keys) canvasKeys += 2 * query * (rowTokens + tokens);
        return (tokens * numbers + masks + canvasKeys) * compute + tokens * wide * 4;
    }

    /// <summary>Bytes of logits at their most: of a first pass and its probabilities, or of a chunk of the head's.</summary>
    private static long HeadTransient(DiffusionGemmaConfig c, FineTuneOptions o, int rows, int rowTokens, long compute, long wide)
    {
        long first = o.Objective.SelfConditioningProbability > 0
            ? (long)rows * c.CanvasLength * c.VocabularySize * (2 * wide + compute) : 0;
        return Math.Max(first, Math.Min(HeadLoss.Chunk(c.VocabularySize), (long)rows * rowTokens) * c.VocabularySize * compute);
    }

    private static (long Stacks, long Others) LoraParameters(DiffusionGemmaConfig config, LoraOptions lora)
    {
        IReadOnlyDictionary<string, long[]> shapes = CheckpointLayout.Expected(config);
        string[] modules = [
            .. shapes.Keys.Where(k => k.Contains(".layers.", StringComparison.Ordinal)
                && k.EndsWith("_proj.weight", StringComparison.Ordinal)).Select(k => k[..^".weight".Length])];
        long linears = LoraTargets.Match(lora.Targets, modules).Sum(m => lora.Rank * (shapes[m + ".weight"][0] + shapes[m + ".weight"][1]));
        long stacks = !lora.Experts ? 0
            : shapes.Where(s => s.Key.Contains(".experts.", StringComparison.Ordinal))
            .Sum(s => s.Value[0] * (lora.ExpertRank ?? lora.Rank) * (s.Value[1] + s.Value[2]));
        long conditioning = !lora.SelfConditioning ? 0
            : shapes.Where(s => LoraTargets.IsDecoderOnly(s.Key) && s.Value.Length == 2).Sum(s => lora.Rank * (s.Value[0] + s.Value[1]));
        return (stacks, linears + conditioning);
    }

    /// <summary>2 a weight and token forward; backward as much for inputs, and as much again for weights that train.</summary>
    private static double Flops(DiffusionGemmaConfig c, FineTuneOptions o, int rowTokens, long parameters, long experts)
    {
        double embedding = (double)c.VocabularySize * c.HiddenSize,
            active = parameters - experts - embedding + (double)experts * c.TopKExperts / c.NumExperts;
        double backward = o.Lora is null ? 2 : 1, passes = 1 + backward, recompute = o.Run.ActivationCheckpointing ? 1 : 0;
        double perRow =
            2 * active * ((rowTokens + c.CanvasLength) * (passes + recompute) + o.Objective.SelfConditioningProbability * c.CanvasLength)
            + 2 * embedding * ((rowTokens + c.CanvasLength) * passes + 2 * o.Objective.SelfConditioningProbability * c.CanvasLength);
        return o.GlobalBatchSize * perRow;
    }
}
