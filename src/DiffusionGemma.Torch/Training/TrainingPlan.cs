using System.Globalization;
using System.Text;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// What a run will need of one device's memory and arithmetic, computed from the configuration and the options alone, before anything is
/// loaded.
/// </summary>
/// <remarks>
/// It counts what is kept at once. Operators' transient results, what the allocator holds on to and the runtime itself come on top: on the
/// 87 M-parameter shape of the benchmarks the measured peak is 1.3 (float32) to 1.9 (bfloat16, LoRA) times the count, of which the part that
/// is not weights or their state is small on the real size.
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

    /// <summary>Floating-point operations of one optimiser step.</summary>
    public required double StepFlops { get; init; }

    /// <summary>Everything at once.</summary>
    public long TotalBytes => WeightBytes + TrainingStateBytes + ActivationBytes + HeadBytes;

    /// <summary>Plans a run on one device.</summary>
    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="options">How to train.</param>
    /// <param name="dtype">What passes are computed in.</param>
    /// <param name="rowTokens">Tokens of the longest row, fill included.</param>
    public static TrainingPlan Of(DiffusionGemmaConfig config, FineTuneOptions options, ScalarType dtype, int rowTokens)
    {
        long compute = dtype == ScalarType.BFloat16 ? 2 : dtype == ScalarType.Float64 ? 8 : 4, wide = Math.Max(compute, 4);
        var shapes = CheckpointLayout.Expected(config).ToDictionary(e => e.Key, e => e.Value.Aggregate(1L, (a, b) => a * b));
        long parameters = shapes.Values.Sum(), experts = shapes.Where(s => s.Key.Contains(".experts.", StringComparison.Ordinal)).Sum(s => s.Value);
        long trained = options.Lora is { } lora ? LoraParameters(config, lora) : shapes.Where(s => FineTuner.Trains(s.Key)).Sum(s => s.Value);
        long master = options.Lora is null && compute < wide ? wide : 0, gradients = options.Lora is null && compute < wide ? wide + compute : wide;

        int rows = Math.Min(options.MicroBatchSize, options.GlobalBatchSize);
        if (options.MicroBatchTokens is int most) rows = Math.Max(1, Math.Min(rows, most / rowTokens));
        long tokens = (long)rows * (rowTokens + config.CanvasLength);
        long kept = options.ActivationCheckpointing
            ? config.NumHiddenLayers * tokens * (config.HiddenSize + 2 * KeyWidth(config, 0)) + tokens * LayerElements(config, 0)
            : Enumerable.Range(0, config.NumHiddenLayers).Sum(n => tokens * LayerElements(config, n));
        long chunk = HeadLoss.Chunk(config.VocabularySize) * config.VocabularySize * wide;
        long firstPass = options.SelfConditioningProbability > 0 ? 3L * rows * config.CanvasLength * config.VocabularySize * wide : 0;
        return new TrainingPlan
        {
            Parameters = parameters,
            ExpertParameters = experts,
            TrainedParameters = trained,
            WeightBytes = parameters * compute,
            TrainingStateBytes = trained * (master + 2 * wide + gradients) + (options.Lora is null ? 0 : trained * wide),
            ActivationBytes = kept * compute,
            HeadBytes = Math.Max(firstPass, 4 * chunk) + (options.Lora is null ? 2 * shapes[CheckpointLayout.Embedding] * compute : 0),
            StepFlops = Flops(config, options, rowTokens, trained, parameters, experts),
        };
    }

    /// <summary>A table.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        void Line(string name, string value) => text.AppendLine(CultureInfo.InvariantCulture, $"{name,-28}{value,16}");
        static string Gib(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30):F2} GiB");
        Line("parameters", Parameters.ToString("N0", CultureInfo.InvariantCulture));
        Line("  of them in experts", ExpertParameters.ToString("N0", CultureInfo.InvariantCulture));
        Line("  of them training", TrainedParameters.ToString("N0", CultureInfo.InvariantCulture));
        Line("weights", Gib(WeightBytes));
        Line("master, moments, gradients", Gib(TrainingStateBytes));
        Line("activations", Gib(ActivationBytes));
        Line("logits and head", Gib(HeadBytes));
        Line("memory", Gib(TotalBytes));
        Line("a step", string.Create(CultureInfo.InvariantCulture, $"{StepFlops / 1e12:F2} TFLOP"));
        return text.ToString();
    }

    private static long QueryWidth(DiffusionGemmaConfig config, int n) => (long)config.NumAttentionHeads * config.Layer(n).HeadDim;

    private static long KeyWidth(DiffusionGemmaConfig config, int n) => (long)config.Layer(n).KeyValueHeads * config.Layer(n).HeadDim;

    /// <summary>Numbers a token that one layer's operators keep for their backward, counted operator by operator along TransformerLayer.Forward.</summary>
    private static long LayerElements(DiffusionGemmaConfig c, int n) =>
        24L * c.HiddenSize + 6 * QueryWidth(c, n) + 6 * KeyWidth(c, n) + 4L * c.IntermediateSize + 3L * c.NumExperts
        + c.TopKExperts * (6L * c.HiddenSize + 4L * c.MoeIntermediateSize);

    private static long LoraParameters(DiffusionGemmaConfig config, LoraOptions lora)
    {
        IReadOnlyDictionary<string, long[]> shapes = CheckpointLayout.Expected(config);
        string[] modules = [.. shapes.Keys.Where(k => k.Contains(".layers.", StringComparison.Ordinal) && k.EndsWith("_proj.weight", StringComparison.Ordinal)).Select(k => k[..^".weight".Length])];
        long linears = LoraTargets.Match(lora.Targets, modules).Sum(m => lora.Rank * (shapes[m + ".weight"][0] + shapes[m + ".weight"][1]));
        long stacks = !lora.Experts ? 0 : shapes.Where(s => s.Key.Contains(".experts.", StringComparison.Ordinal)).Sum(s => s.Value[0] * (lora.ExpertRank ?? lora.Rank) * (s.Value[1] + s.Value[2]));
        long conditioning = !lora.SelfConditioning ? 0 : shapes.Where(s => LoraTargets.IsDecoderOnly(s.Key) && s.Value.Length == 2).Sum(s => lora.Rank * (s.Value[0] + s.Value[1]));
        return linears + stacks + conditioning;
    }

    /// <summary>2 a weight and token forward; backward as much for inputs, and as much again for weights that train.</summary>
    private static double Flops(DiffusionGemmaConfig c, FineTuneOptions o, int rowTokens, long trained, long parameters, long experts)
    {
        double embedding = (double)c.VocabularySize * c.HiddenSize, active = parameters - experts - embedding + (double)experts * c.TopKExperts / c.NumExperts;
        double backward = o.Lora is null ? 2 : 1, passes = 1 + backward, recompute = o.ActivationCheckpointing ? 1 : 0;
        double perRow = 2 * active * ((rowTokens + c.CanvasLength) * (passes + recompute) + o.SelfConditioningProbability * c.CanvasLength)
            + 2 * embedding * ((rowTokens + c.CanvasLength) * passes + 2 * o.SelfConditioningProbability * c.CanvasLength);
        return o.GlobalBatchSize * perRow;
    }
}
