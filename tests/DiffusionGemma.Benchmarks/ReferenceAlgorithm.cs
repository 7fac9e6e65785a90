using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// The recipe's algorithm on the same operators: every canvas of the response decoded in both passes, both passes always, experts in a loop
/// with a gather each, logits whole, AdamW tensor by tensor. What is measured against it is the algorithm, not a library.
/// </summary>
internal sealed partial class ReferenceAlgorithm : IDisposable
{
    private readonly DiffusionGemmaConfig _config;
    private readonly IReadOnlyDictionary<string, Tensor> _weights;
    private readonly Dictionary<string, LoraPair> _lora = [];
    private readonly List<Tensor> _trained;
    private readonly List<(Tensor Master, Tensor First, Tensor Second)> _state = [];
    private readonly Dictionary<int, RotaryEmbedding> _rotary;
    private int _steps;

    public ReferenceAlgorithm(DiffusionGemmaModel model, LoraAdapter? adapter, bool trains = true)
    {
        _config = model.Config;
        _weights = model.Stack.Parameters;
        if (adapter is not null)
            foreach ((string name, (_, LoraPair? pair)) in adapter.Pairs) _lora[name] = pair!;
        _trained = !trains ? [] : adapter is not null
            ? [.. adapter.Parameters().Select(p => p.Value)]
            : [.. _weights.Where(w => !w.Key.Contains(".router.") && !w.Key.EndsWith("layer_scalar")).Select(w => w.Value)];
        foreach (Tensor parameter in _trained)
        {
            parameter.requires_grad_(true);
            using IDisposable quiet = no_grad();
            Tensor master = parameter.dtype == ScalarType.Float32 ? parameter.detach() : parameter.detach().to(ScalarType.Float32);
            _state.Add((master, zeros_like(master), zeros_like(master)));
        }
        _rotary = Enumerable.Range(0, _config.NumHiddenLayers)
            .ToDictionary(n => n, n => new RotaryEmbedding(_config.Layer(n), CPU, model.DType));
    }

    /// <summary>One optimiser step, a row a micro-batch. Returns the diffusion loss.</summary>
    public double Step(int step, IReadOnlyList<TrainingExample> rows)
    {
        double total = 0;
        long scored = rows.Count * _config.CanvasLength;
        for (int index = 0; index < rows.Count; index++)
        {
            using var scope = NewDisposeScope();
            TrainingExample row = rows[index];
            ExampleDraw draw = ExampleDraws.Draw(42, step, index, rows.Count, row, _config.CanvasLength, _config.VocabularySize, 1e-3, 0.5);
            int length = row.InputIds.Length, response = length - row.PrefixLength, canvas = _config.CanvasLength;
            Tensor ids = tensor(Array.ConvertAll(row.InputIds, i => (long)i))
                .unsqueeze(0), noisy = tensor(Array.ConvertAll(draw.CorruptedIds, i => (long)i)).unsqueeze(0);
            Tensor positions = arange(length).unsqueeze(0), canvasPositions = arange(row.PrefixLength, length).unsqueeze(0);
            Tensor real = ones_like(ids, ScalarType.Bool);

            (Tensor hidden, List<KeyValues> cache) =
                Run(Embed(ids), positions, null, Pass.Encoder,
                    kind => AttentionMasks.Encoder(kind, _config.SlidingWindow, positions, positions, real));
            Tensor Mask(AttentionKind kind)
            {
                Tensor block = arange(response).div(canvas, RoundingMode.floor).unsqueeze(-1), starts = block * canvas + row.PrefixLength,
                keys = positions;
                Tensor cached = keys < starts;
                if (kind == AttentionKind.Sliding) cached = cached.logical_and(keys > starts - _config.SlidingWindow);
                return cat([cached, block.eq(block.t())], 1).unsqueeze(0).unsqueeze(0);
            }
            Tensor canvasIds = noisy.narrow(1, row.PrefixLength, response);
            Tensor Decode(Tensor? soft) =>
                Logits(Run(SelfCondition(Embed(canvasIds), soft), canvasPositions, cache, Pass.Decoder, Mask).Hidden);

            Tensor first;
            using (no_grad()) first = Decode(null);
            Tensor soft =
                nn.functional.linear(first.softmax(-1).to(Table.dtype),
                    Table.t()) * Math.Sqrt(_config.HiddenSize) * (draw.SelfConditioned ? 1 : 0);
            Tensor nll =
                nn.functional.cross_entropy(Decode(soft)[0], ids[0].narrow(0, row.PrefixLength, response), reduction: nn.Reduction.None);
            Tensor inBlock = arange(response).div(canvas, RoundingMode.floor).eq(draw.Block).to(nll.dtype);
            Tensor diffusion = (nll * inBlock).sum() / scored;
            Tensor encoder =
                nn.functional.cross_entropy(Logits(hidden)[0].narrow(0, 0, length - 1), ids[0].narrow(0, 1, length - 1),
                    reduction: nn.Reduction.Sum) / (rows.Count * (length - 1));
            (diffusion + encoder).backward();
            total += diffusion.to(ScalarType.Float64).item<double>();
        }
        Optimize();
        return total;
    }

    public void Dispose()
    {
        foreach (RotaryEmbedding rotary in _rotary.Values) rotary.Dispose();
    }

    private Tensor Table => _weights["model.decoder.embed_tokens.weight"];

    private Tensor Embed(Tensor ids) => TorchOperators.Embedding(Table, ids, 0) * Math.Sqrt(_config.HiddenSize);

    private Tensor Logits(Tensor hidden) =>
        (nn.functional.linear(hidden, Table).to(ScalarType.Float32) / _config.FinalLogitSoftcapping).tanh() * _config.FinalLogitSoftcapping;

    private Tensor Norm(Tensor x, string? weight = null) =>
        TorchOperators.RmsNorm(x, weight is null ? null : _weights[weight + ".weight"], _config.RmsNormEpsilon);

    /// <summary>scale · B A x.</summary>
    public static Tensor Delta(LoraPair lora, Tensor x) =>
        nn.functional.linear(nn.functional.linear(x, lora.A.to(x.dtype)), lora.B.to(x.dtype)) * lora.Scale;

    private Tensor Linear(Tensor x, string name)
    {
        Tensor y = nn.functional.linear(x, _weights[name + ".weight"]);
        return _lora.TryGetValue(name, out LoraPair? pair) ? y + Delta(pair, x) : y;
    }

    private Tensor Gated(Tensor x, string prefix) =>
        Linear(GatedMlp.GeluTanh(Linear(x, prefix + ".gate_proj")) * Linear(x, prefix + ".up_proj"), prefix + ".down_proj");

    private Tensor SelfCondition(Tensor embedded, Tensor? soft)
    {
        const string Prefix = "model.decoder.self_conditioning";
        return Norm(embedded + Gated(Norm(soft ?? zeros_like(embedded), Prefix + ".pre_norm"), Prefix));
    }

    private (Tensor Hidden, List<KeyValues> Fresh) Run(Tensor x, Tensor positions, List<KeyValues>? past, Pass pass, Func<AttentionKind,
        Tensor> mask)
    {
        var context = new PassContext(pass);
        var fresh = new List<KeyValues>();
        for (int n = 0; n < _config.NumHiddenLayers; n++)
        {
            string p = $"model.decoder.layers.{n}";
            LayerShape shape = _config.Layer(n);
            (Tensor Cos, Tensor Sin) angles = _rotary[n].Angles(positions, x.dtype);
            Tensor input = Norm(x, p + ".input_layernorm");
            Tensor Heads(string name, int count) => Linear(input, $"{p}.self_attn.{name}").view(x.shape[0], -1, count, shape.HeadDim)
                .transpose(1, 2);
            Tensor q = RotaryEmbedding.Rotate(Norm(Heads("q_proj", _config.NumAttentionHeads), p + ".self_attn.q_norm"), angles, context);
            Tensor k0 = Heads("k_proj", shape.KeyValueHeads), v0 = shape.Kind == AttentionKind.Sliding
                ? Heads("v_proj", shape.KeyValueHeads) : k0;
            var own = new KeyValues(RotaryEmbedding.Rotate(Norm(k0, p + ".self_attn.k_norm"), angles, context), Norm(v0));
            KeyValues seen = past is null ? own : past[n].Concatenate(own);
            Tensor attended = TorchOperators.Attention(q, seen.Keys, seen.Values, mask(shape.Kind), 1.0).transpose(1, 2)
                .reshape(x.shape[0], x.shape[1], -1);
            Tensor r = x + Norm(Linear(attended, p + ".self_attn.o_proj"), p + ".post_attention_layernorm");
            Tensor dense = Norm(Gated(Norm(r, p + ".pre_feedforward_layernorm"), p + ".mlp"), p + ".post_feedforward_layernorm_1");
            Tensor chosen =
                Norm(ExpertLoop(r.flatten(0, 1), Norm(r, p + ".pre_feedforward_layernorm_2").flatten(0, 1), p).view(r.shape),
                    p + ".post_feedforward_layernorm_2");
            string scalar = pass == Pass.Encoder ? $"model.encoder.language_model.layers.{n}.layer_scalar" : p + ".layer_scalar";
            x = (r + Norm(dense + chosen, p + ".post_feedforward_layernorm")) * _weights[scalar];
            fresh.Add(own);
        }
        return (Norm(x, "model.decoder.norm"), fresh);
    }

    private Tensor ExpertLoop(Tensor residual, Tensor x, string p)
    {
        (Tensor weights, Tensor indices) = new Router(
            new Linear(p + ".router.proj", _weights[p + ".router.proj.weight"]), _weights[p + ".router.scale"],
            _weights[p + ".router.per_expert_scale"],
            _config.TopKExperts, _config.RmsNormEpsilon).Forward(residual, new PassContext(Pass.Decoder));
        Tensor output = zeros_like(x);
        for (int e = 0; e < _config.NumExperts; e++)
        {
            Tensor hits = indices.eq(e).nonzero();
            if (hits.shape[0] == 0) continue;
            Tensor tokens = hits.select(1, 0), choices = hits.select(1, 1);
            Tensor[] gateUp = nn.functional.linear(x.index_select(0, tokens), _weights[p + ".experts.gate_up_proj"][e]).chunk(2, -1);
            Tensor y = nn.functional.linear(GatedMlp.GeluTanh(gateUp[0]) * gateUp[1], _weights[p + ".experts.down_proj"][e]);
            output = output.index_add(0, tokens, (y * weights[tokens, choices].unsqueeze(-1)).to(x.dtype), 1);
        }
        return output;
    }

    private void Optimize()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        _steps++;
        double norm = stack(_trained.Where(p => p.grad is not null).Select(p => p.grad!.to(ScalarType.Float32).norm())).norm()
            .item<float>();
        double scale = Math.Min(1, 1 / (norm + 1e-6)), first = 1 - Math.Pow(0.95, _steps), second = 1 - Math.Pow(0.99, _steps);
        foreach ((Tensor parameter, (Tensor master, Tensor m, Tensor v)) in _trained.Zip(_state))
        {
            using var inner = NewDisposeScope();
            if (parameter.grad is not { } gradient) continue;
            gradient = gradient.to(ScalarType.Float32) * scale;
            m.mul_(0.95).add_(gradient * 0.05);
            v.mul_(0.99).add_(gradient * gradient * 0.01);
            master.mul_(1 - 1e-4 * 1e-4).sub_(m / first / ((v / second).sqrt() + 1e-8) * 1e-4);
            if (parameter.dtype != master.dtype) parameter.copy_(master);
            parameter.grad = null;
        }
    }
}
