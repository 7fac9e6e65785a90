using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The parameters that both passes run on, by their checkpoint names, and the modules built on them.</summary>
internal sealed class ModelStack : IDisposable
{
    private const string Prefix = "model.decoder.";
    private readonly DiffusionGemmaConfig _config;
    private readonly Tensor _finalNorm;
    private readonly EmbeddingTable _table;
    private readonly Dictionary<LayerShape, RotaryEmbedding> _rotary = [];
    private readonly IReadOnlyDictionary<string, StoredWeight> _weights;
    private readonly bool _countsOnDevice;
    private readonly Dictionary<string, Tensor> _parameters;

    private ModelStack(
        DiffusionGemmaConfig config, Dictionary<string, StoredWeight> weights, IExpertRanks expertRanks, IHostReads? reads,
        bool? countsOnDevice)
    {
        _config = config;
        _weights = weights;
        ExpertRanks = expertRanks;
        _parameters = weights.Where(weight => weight.Value.Tensor is not null).ToDictionary(w => w.Key, w => w.Value.Tensor!);
        Quantized = weights.Where(weight => weight.Value.Tensor is null).ToDictionary();
        Embedding = weights[CheckpointLayout.Embedding];
        _finalNorm = Parameters[Prefix + "norm.weight"];
        foreach ((string name, StoredWeight weight) in weights)
            if (weight.Device.type != Device.type)
                throw new InvalidOperationException($"{name} lies on the device {weight.Device}, other weights on {Device}.");
        Reads = reads ?? IHostReads.For(Device);
        RequestedCountsOnDevice = countsOnDevice;
        _countsOnDevice = countsOnDevice ?? GroupedProducts.Serve(Device, DType, config.HiddenSize, config.MoeIntermediateSize);
        double exact = Math.Sqrt(config.HiddenSize);
        using (NewDisposeScope())
        {
            // the rounding to the table's dtype is part of the model
            EmbeddingScale = tensor(exact, ScalarType.Float64, CPU).to(DType).to(ScalarType.Float64).item<double>();
        }
        _table = new EmbeddingTable(Embedding, DType, EmbeddingScale, config.PadTokenId);
        SelfConditioning = new SelfConditioning(
            Parameters[Prefix + "self_conditioning.pre_norm.weight"], Gated(Prefix + "self_conditioning"), config.RmsNormEpsilon);
        Layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(Layer)];
        foreach (TransformerLayer layer in Layers)
            if (!_rotary.ContainsKey(layer.Shape))
                _rotary[layer.Shape] = new RotaryEmbedding(layer.Shape, Device, DType);
    }

    /// <summary>
    /// All weights of the text model that are tensors, by their names in the checkpoint. <see cref="Own"/> comes before writing to one.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> Parameters => _parameters;

    /// <summary>The weights that are quantised, by their names in an unquantised checkpoint.</summary>
    public IReadOnlyDictionary<string, StoredWeight> Quantized { get; }

    /// <summary>Reads what passes need of the device's values.</summary>
    public IHostReads Reads { get; }

    /// <summary>The value that <see cref="Create"/> was given; null: the device decides.</summary>
    public bool? RequestedCountsOnDevice { get; }

    /// <summary>The dtype that passes compute in.</summary>
    public ScalarType DType => _finalNorm.dtype;

    public Device Device => _finalNorm.device;

    /// <summary>[V,H]: the embedding table, which is also the tied head.</summary>
    public StoredWeight Embedding { get; }

    /// <summary>Factor of a look-up: √H, rounded to the table's dtype.</summary>
    public double EmbeddingScale { get; }

    public SelfConditioning SelfConditioning { get; }

    public IReadOnlyList<TransformerLayer> Layers { get; }

    /// <summary>Every projection that an adapter may change: the layers', their routers', then self-conditioning's.</summary>
    public IEnumerable<Linear> Linears =>
    [
        .. Layers.SelectMany(layer => layer.Linears), .. Layers.Select(layer => layer.Router.Projection), .. SelfConditioning.Linears,
    ];

    /// <summary>The ranks that share the experts; every layer's stacks hold this rank's part.</summary>
    public IExpertRanks ExpertRanks { get; }

    /// <summary>Builds the modules on the weights of a checkpoint.</summary>
    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="read">Reads a weight by its name, for this object to own: of a stack of experts, this rank's part.</param>
    /// <param name="expertRanks">The ranks that share the experts.</param>
    /// <param name="reads">Reads what passes need of the device's values; null: those of the weights' device.</param>
    /// <param name="countsOnDevice">Whether counts of the experts' rows stay on the device; null: as <see cref="GroupedProducts.Serve"/>
    /// says.</param>
    public static ModelStack Create(
        DiffusionGemmaConfig config, Func<string, StoredWeight> read, IExpertRanks expertRanks, IHostReads? reads = null,
        bool? countsOnDevice = null)
    {
        var weights = new Dictionary<string, StoredWeight>();
        try
        {
            foreach (string name in CheckpointLayout.Expected(config).Keys)
            {
                StoredWeight weight = read(name);
                weight.Tensor?.DetachFromDisposeScope();
                weights[name] = weight;
            }
            return new ModelStack(config, weights, expertRanks, reads, countsOnDevice);
        }
        catch
        {
            foreach (StoredWeight weight in weights.Values) weight.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Makes a weight that is a tensor one that may be written to, in the dtype that is computed in. Frozen ones may be narrower, or lie in
    /// a mapped file.
    /// </summary>
    /// <returns>True where it was copied.</returns>
    public bool Own(string name)
    {
        if (!_weights[name].Own(DType)) return false;
        _parameters[name] = _weights[name].Tensor!;
        return true;
    }

    /// <summary>Embeds tokens, [B,S] -> [B,S,H], times √H. Look-ups of the pad id give the table no gradient.</summary>
    public Tensor Embed(Tensor ids, PassContext context) => _table.LookUp(ids, context);

    /// <summary>Expected embeddings under a prediction: softmax(logits) · table · √H. No gradient for the logits.</summary>
    /// <param name="logits">[B,C,V].</param>
    /// <param name="context">The pass.</param>
    /// <returns>[B,C,H].</returns>
    public Tensor ExpectedEmbedding(Tensor logits, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor probabilities = logits.to(DType.AtLeastFloat32()).softmax(-1).to(DType);
        Tensor expected = ExpectedEmbedding(probabilities.view(-1, Embedding.Shape[0]), null, context);
        return expected.view(logits.shape[0], -1, Embedding.Shape[1]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="EmbeddingTable.Average"/>
    public Tensor ExpectedEmbedding(Tensor weights, Tensor? totals, PassContext context) => _table.Average(weights, totals, context);

    /// <summary>Runs all layers and the final norm.</summary>
    /// <param name="x">Embedded tokens [B,S,H].</param>
    /// <param name="positions">[B,S].</param>
    /// <param name="past">One cache a layer, or null; activations are recomputed over those of plain tensors only.</param>
    /// <param name="mask">[B,1,S,past+S] for an attention kind, or null: all is seen; asked once a kind.</param>
    /// <param name="context">The pass.</param>
    /// <param name="keysOnly">True where the hidden state is not read: the last layer then appends keys and values and computes nothing
    /// else.</param>
    /// <param name="real">[n] int64: the tokens among B·S that are no padding, which no expert sees; null: all.</param>
    /// <returns>The hidden state [B,S,H], and each layer's fresh keys and values.</returns>
    public (Tensor Hidden, List<KeyValues> Fresh) Run(
        Tensor x, Tensor positions, IReadOnlyList<ILayerCache>? past, Func<AttentionKind, Tensor?> mask, PassContext context,
        bool keysOnly = false, Tensor? real = null)
    {
        var masks = _config.LayerTypes.Distinct().ToDictionary(kind => kind, mask);
        var angles = _rotary.ToDictionary(entry => entry.Key, entry => entry.Value.Angles(positions, DType));
        Tensor? routed = context.IsIdle ? empty(0, dtype: ScalarType.Int64, device: x.device) : real;
        var fresh = new List<KeyValues>();
        bool recompute = context.RecomputesActivations && is_grad_enabled();
        if (recompute && !x.requires_grad) x = x.detach().requires_grad_(true);
        for (int n = 0; n < Layers.Count; n++)
        {
            // A layer's temporaries are freed at once; with gradients, the graph keeps what its backward needs.
            using var scope = NewDisposeScope();
            LayerShape shape = Layers[n].Shape;
            if (keysOnly && n == Layers.Count - 1)
            {
                Layers[n].AppendKeysAndValues(x, past![n], angles[shape], context);
                continue;
            }
            (Tensor hidden, KeyValues? keyValues) = recompute
                ? LayerCheckpoint.Forward(Layers[n], x, (TensorLayerCache?)past?[n], angles[shape], masks[shape.Kind], context, routed)
                : Layers[n].Forward(x, past?[n], angles[shape], masks[shape.Kind], context, routed);
            x = hidden.MoveToOuterDisposeScope();
            if (keyValues is null) continue;
            keyValues.Keys.MoveToOuterDisposeScope();
            keyValues.Values.MoveToOuterDisposeScope();
            fresh.Add(keyValues);
        }
        return (RmsNorm.Normalize(x, _finalNorm, _config.RmsNormEpsilon, context), fresh);
    }

    public void Dispose()
    {
        foreach (StoredWeight weight in _weights.Values) weight.Dispose();
        foreach (RotaryEmbedding rotary in _rotary.Values) rotary.Dispose();
    }

    private TransformerLayer Layer(int n)
    {
        string prefix = $"{Prefix}layers.{n}.", attention = prefix + "self_attn.";
        Tensor Weight(string name) => Parameters[prefix + name];
        LayerShape shape = _config.Layer(n);
        bool isSliding = shape.Kind == AttentionKind.Sliding;
        return new TransformerLayer(
            shape,
            new Attention(
                shape, _config.NumAttentionHeads, isSliding
                    ? _config.SlidingWindow
                    : null, Project(attention + "q_proj"), Project(attention + "k_proj"),
                isSliding ? Project(attention + "v_proj") : null, Project(attention + "o_proj"),
                Weight("self_attn.q_norm.weight"), Weight("self_attn.k_norm.weight"), _config.RmsNormEpsilon),
            Gated(prefix + "mlp"),
            new Router(
                Project(prefix + "router.proj"), Weight("router.scale"), Weight("router.per_expert_scale"), _config.TopKExperts,
                _config.RmsNormEpsilon),
            new Experts(prefix + "experts", _weights[prefix + "experts.gate_up_proj"], _weights[prefix + "experts.down_proj"], ExpertRanks,
                Reads, _countsOnDevice),
            new LayerNorms(
                Weight("input_layernorm.weight"), Weight("post_attention_layernorm.weight"), Weight("pre_feedforward_layernorm.weight"),
                Weight("pre_feedforward_layernorm_2.weight"), Weight("post_feedforward_layernorm.weight"),
                Weight("post_feedforward_layernorm_1.weight"), Weight("post_feedforward_layernorm_2.weight"),
                Parameters[$"model.encoder.language_model.layers.{n}.layer_scalar"], Weight("layer_scalar")),
            _config.RmsNormEpsilon);
    }

    private GatedMlp Gated(string prefix) =>
        new(Project(prefix + ".gate_proj"), Project(prefix + ".up_proj"), Project(prefix + ".down_proj"));

    private Linear Project(string name) => new(name, _weights[name + ".weight"]);
}
