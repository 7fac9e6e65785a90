using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The one parameter stack that both passes run: the weights by their checkpoint names, and the modules built on them.</summary>
internal sealed class ModelStack : IDisposable
{
    private const string Prefix = "model.decoder.";
    private readonly DiffusionGemmaConfig _config;
    private readonly Tensor _finalNorm;
    private readonly EmbeddingTable _table;
    private readonly Dictionary<LayerShape, RotaryEmbedding> _rotary = [];

    private ModelStack(DiffusionGemmaConfig config, Dictionary<string, Tensor> parameters, IExpertRanks expertRanks)
    {
        _config = config;
        ExpertRanks = expertRanks;
        Parameters = parameters;
        Embedding = parameters[Prefix + "embed_tokens.weight"];
        _finalNorm = parameters[Prefix + "norm.weight"];
        using (Tensor scale = torch.tensor(Math.Sqrt(config.HiddenSize)).to(Embedding.dtype).to(ScalarType.Float64))
            EmbeddingScale = scale.item<double>();                                             // rounded to the table's dtype: part of the model
        _table = new EmbeddingTable(Embedding, EmbeddingScale, config.PadTokenId);
        SelfConditioning = new SelfConditioning(
            parameters[Prefix + "self_conditioning.pre_norm.weight"], Gated(Prefix + "self_conditioning"), config.RmsNormEpsilon);
        Layers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(Layer)];
        foreach (TransformerLayer layer in Layers)
            if (!_rotary.ContainsKey(layer.Shape))
                _rotary[layer.Shape] = new RotaryEmbedding(layer.Shape, Embedding.device, Embedding.dtype);
    }

    /// <summary>Every text tensor by its name in the checkpoint.</summary>
    public IReadOnlyDictionary<string, Tensor> Parameters { get; }

    /// <summary>[V,H]: the table, and the tied head.</summary>
    public Tensor Embedding { get; }

    /// <summary>√H, rounded to the table's dtype: what a look-up is multiplied by.</summary>
    public double EmbeddingScale { get; }

    public SelfConditioning SelfConditioning { get; }

    public IReadOnlyList<TransformerLayer> Layers { get; }

    /// <summary>Every projection that an adapter may change: the layers', then self-conditioning's.</summary>
    public IEnumerable<Linear> Linears => [.. Layers.SelectMany(layer => layer.Linears), .. SelfConditioning.Linears];

    /// <summary>Who owns the experts between them; every layer's stacks hold this rank's part.</summary>
    public IExpertRanks ExpertRanks { get; }

    /// <summary>
    /// Whether this rank has no tokens of its own in the passes that follow and only takes part in the others' (<see cref="ExpertExchange"/>): no token is
    /// routed, whatever the rows.
    /// </summary>
    public bool IsIdle { get; set; }

    /// <summary>Whether passes with gradients keep a layer's input in place of its activations (<see cref="LayerCheckpoint"/>).</summary>
    public bool RecomputesActivations { get; set; }

    /// <param name="config">The checkpoint's configuration.</param>
    /// <param name="read">A parameter by its name, for this object to own: whole, or of a stack of experts this rank's part.</param>
    /// <param name="expertRanks">Who owns the experts between them.</param>
    public static ModelStack Of(DiffusionGemmaConfig config, Func<string, Tensor> read, IExpertRanks expertRanks)
    {
        var parameters = new Dictionary<string, Tensor>();
        try
        {
            foreach (string name in CheckpointLayout.Expected(config).Keys) parameters[name] = read(name).DetachFromDisposeScope();
            return new ModelStack(config, parameters, expertRanks);
        }
        catch
        {
            foreach (Tensor tensor in parameters.Values) tensor.Dispose();
            throw;
        }
    }

    /// <summary>[B,S] -> [B,S,H], times √H. Look-ups of the pad id give the table no gradient.</summary>
    public Tensor Embed(Tensor ids) => _table.Rows(ids);

    /// <summary>softmax(logits) · table · √H, [B,C,V] -> [B,C,H]. No gradient for the logits.</summary>
    public Tensor ExpectedEmbedding(Tensor logits) => _table.Expected(logits);

    /// <summary>All layers and the final norm.</summary>
    /// <param name="x">Embedded tokens [B,S,H].</param>
    /// <param name="positions">[B,S].</param>
    /// <param name="past">Cached keys and values a layer, or null.</param>
    /// <param name="pass">Encoder or decoder.</param>
    /// <param name="mask">[B,1,S,past+S] for an attention kind, or null: all is seen; asked once a kind.</param>
    /// <param name="keysOnly">Nobody reads the hidden state: of the last layer only keys and values are computed.</param>
    /// <param name="real">[B,S] bool, false = padding, which no expert sees; null: none is.</param>
    /// <returns>The hidden state [B,S,H], and each layer's fresh keys and values.</returns>
    public (Tensor Hidden, List<KeyValues> Fresh) Run(
        Tensor x, Tensor positions, IReadOnlyList<KeyValues>? past, Pass pass, Func<AttentionKind, Tensor?> mask, bool keysOnly = false,
        Tensor? real = null)
    {
        var masks = _config.LayerTypes.Distinct().ToDictionary(kind => kind, mask);
        var angles = _rotary.ToDictionary(entry => entry.Key, entry => entry.Value.Angles(positions, Embedding.dtype));
        Tensor? routed = IsIdle ? empty(0, dtype: ScalarType.Int64, device: x.device) : real?.flatten().nonzero().flatten();
        if (!IsIdle && routed?.shape[0] == real?.numel()) routed = null;
        var fresh = new List<KeyValues>();
        bool recompute = RecomputesActivations && is_grad_enabled();
        if (recompute && !x.requires_grad) x = x.detach().requires_grad_(true);
        for (int n = 0; n < Layers.Count; n++)
        {
            // What a layer leaves behind goes at once; where gradients are on, the graph keeps what its backward needs.
            using var scope = NewDisposeScope();
            LayerShape shape = Layers[n].Shape;
            if (keysOnly && n == Layers.Count - 1)
            {
                Layers[n].Remember(x, past?[n], angles[shape], pass);
                continue;
            }
            (Tensor hidden, KeyValues? keyValues) = recompute
                ? LayerCheckpoint.Run(Layers[n], x, past?[n], angles[shape], masks[shape.Kind], pass, routed)
                : Layers[n].Forward(x, past?[n], angles[shape], masks[shape.Kind], pass, routed);
            x = hidden.MoveToOuterDisposeScope();
            if (keyValues is null) continue;
            keyValues.Keys.MoveToOuterDisposeScope();
            keyValues.Values.MoveToOuterDisposeScope();
            fresh.Add(keyValues);
        }
        return (RmsNorm.Of(x, _finalNorm, _config.RmsNormEpsilon), fresh);
    }

    public void Dispose()
    {
        foreach (Tensor tensor in Parameters.Values) tensor.Dispose();
        foreach (RotaryEmbedding rotary in _rotary.Values) rotary.Dispose();
    }

    private TransformerLayer Layer(int n)
    {
        string prefix = $"{Prefix}layers.{n}.", attention = prefix + "self_attn.";
        Tensor Weight(string name) => Parameters[prefix + name];
        LayerShape shape = _config.Layer(n);
        return new TransformerLayer(
            shape,
            new Attention(
                shape, _config.NumAttentionHeads, shape.Kind == AttentionKind.Sliding ? _config.SlidingWindow : null, Project(attention + "q_proj"), Project(attention + "k_proj"),
                shape.Kind == AttentionKind.Sliding ? Project(attention + "v_proj") : null, Project(attention + "o_proj"),
                Weight("self_attn.q_norm.weight"), Weight("self_attn.k_norm.weight"), _config.RmsNormEpsilon),
            Gated(prefix + "mlp"),
            new Router(
                Weight("router.proj.weight"), Weight("router.scale"), Weight("router.per_expert_scale"), _config.TopKExperts, _config.RmsNormEpsilon),
            new Experts(prefix + "experts", Weight("experts.gate_up_proj"), Weight("experts.down_proj"), ExpertRanks),
            new LayerNorms(
                Weight("input_layernorm.weight"), Weight("post_attention_layernorm.weight"), Weight("pre_feedforward_layernorm.weight"),
                Weight("pre_feedforward_layernorm_2.weight"), Weight("post_feedforward_layernorm.weight"),
                Weight("post_feedforward_layernorm_1.weight"), Weight("post_feedforward_layernorm_2.weight"),
                Parameters[$"model.encoder.language_model.layers.{n}.layer_scalar"], Weight("layer_scalar")),
            _config.RmsNormEpsilon);
    }

    private GatedMlp Gated(string prefix) => new(Project(prefix + ".gate_proj"), Project(prefix + ".up_proj"), Project(prefix + ".down_proj"));

    private Linear Project(string name) => new(name, Parameters[name + ".weight"]);
}
