using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank deltas for a <see cref="DiffusionGemmaModel"/>: on attention and dense projections, on expert stacks, and on self-conditioning. Encoder and decoder
/// may share one set of values (what this library trains), have one each, or the encoder may go without. Saved and loaded as a PEFT folder.
/// </summary>
public sealed class LoraAdapter : IDisposable
{
    internal LoraAdapter(PeftConfig config, ModelStack stack)
        : this(config, [.. stack.Layers.SelectMany(l => l.Linears).Select(l => l.Name)], [.. stack.Layers.Select(l => l.Experts.Name)])
    {
    }

    private LoraAdapter(PeftConfig config, IReadOnlyList<string> projections, IReadOnlyList<string> experts)
    {
        Config = config;
        AllProjections = projections;
        AllExperts = experts;
    }

    /// <summary>r, of all that has none of its own.</summary>
    public int Rank => Config.Rank;

    /// <summary>The numerator of the scale, of all that has none of its own.</summary>
    public double Alpha => Config.Alpha;

    /// <summary>Names of the adapted projections and expert stacks, as in the checkpoint.</summary>
    public IReadOnlyList<string> Modules => [.. Pairs.Keys, .. ExpertStacks.Keys];

    /// <summary>Numbers in A and B together; values that both passes share count once.</summary>
    public long ParameterCount => Parameters().Sum(p => p.Value.numel());

    internal PeftConfig Config { get; }

    /// <summary>Projection -> what each pass adds.</summary>
    internal SortedDictionary<string, (LoraPair? Encoder, LoraPair? Decoder)> Pairs { get; } = new(StringComparer.Ordinal);

    /// <summary>Expert stacks' common name -> what each pass adds.</summary>
    internal SortedDictionary<string, (ExpertsLora? Encoder, ExpertsLora? Decoder)> ExpertStacks { get; } = new(StringComparer.Ordinal);

    /// <summary>Names of all the layers' projections.</summary>
    internal IReadOnlyList<string> AllProjections { get; }

    /// <summary>Names of all the model's expert stacks, one a layer.</summary>
    internal IReadOnlyList<string> AllExperts { get; }

    /// <summary>Reads the folder that PEFT, or <see cref="Save"/>, wrote.</summary>
    /// <param name="folder">Holds adapter_config.json and adapter_model.safetensors.</param>
    /// <param name="model">The base model; the adapter is placed on its device but not yet set as its <see cref="DiffusionGemmaModel.Adapter"/>.</param>
    /// <exception cref="AdapterException">The folder is unreadable, does not fit the model, or asks for what is not supported.</exception>
    public static LoraAdapter Load(string folder, DiffusionGemmaModel model) => PeftFolder.Read(folder, model);

    /// <summary>Writes adapter_config.json and adapter_model.safetensors, float32, in PEFT's layout.</summary>
    /// <param name="folder">Created where absent. An adapter that it held stays until the new one is whole.</param>
    /// <param name="baseModelNameOrPath">Stored as it is given: what transformers loads the base from.</param>
    /// <param name="revision">Stored as it is given: the commit of a base that is named by its id on the Hub.</param>
    /// <exception cref="AdapterException">The folder cannot be written.</exception>
    public void Save(string folder, string baseModelNameOrPath, string? revision = null) =>
        PeftFolder.Write(this, folder, baseModelNameOrPath, revision);

    /// <summary>Adds the deltas to the model's weights, and takes this adapter off the model where it is set.</summary>
    /// <param name="model">The model the adapter was made for.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both.</exception>
    public void MergeInto(DiffusionGemmaModel model)
    {
        IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>> merged = Merged(model);
        if (ReferenceEquals(model.Adapter, this)) model.Adapter = null;
        using IDisposable quiet = no_grad();
        foreach ((string name, Func<Func<Tensor>, Tensor> add) in merged)
        {
            using var scope = NewDisposeScope();
            Tensor weight = model.Stack.Parameters[name];
            weight.copy_(add(() => weight));
            model.Changed.Add(name);
        }
    }

    /// <summary>
    /// Writes a Hugging Face folder with the deltas added to the weights: a model that needs no adapter. The sums are made in float32 at least, from the
    /// weights as the checkpoint has them, and rounded once to the checkpoint's dtype; a tensor at a time, and the model is not changed.
    /// </summary>
    /// <param name="model">The model the adapter was made for; whether the adapter is set on it is all one.</param>
    /// <param name="folder">Created where absent; not the model's own. What it held before stays until the new files are whole.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the source has them.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both.</exception>
    /// <exception cref="CheckpointException">The folder cannot be written.</exception>
    public void SaveMerged(DiffusionGemmaModel model, string folder, long? maxShardBytes = null) => model.Save(folder, maxShardBytes, Merged(model));

    /// <summary>Frees the deltas. Take the adapter off its model first.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in Parameters().Select(p => p.Value)) tensor.Dispose();
    }

    /// <summary>A new adapter: A drawn, B zero. It trains nothing yet. Of a rank's part of a model it is the part of what the whole model's would be.</summary>
    /// <exception cref="ArgumentException">An option is out of range, or a target matches nothing.</exception>
    internal static LoraAdapter Create(DiffusionGemmaModel model, LoraOptions options, long seed)
    {
        options.Validate();
        ScalarType dtype = RotaryEmbedding.AtLeastFloat32(model.DType);
        var linears = model.Stack.Linears.ToDictionary(l => l.Name);
        static PeftPattern OfStacks(double? value, double common) => value is double own && own != common
            ? new PeftPattern([new("experts.down_proj", own), new("experts.gate_up_proj", own)])
            : PeftPattern.None;
        var config = new PeftConfig(options.Rank, options.Alpha, options.RankStabilized, options.Dropout)
        {
            RankPattern = OfStacks(options.ExpertRank, options.Rank), AlphaPattern = OfStacks(options.ExpertAlpha, options.Alpha),
        };
        var adapter = new LoraAdapter(config, model.Stack);
        using var generator = new Generator(Seeds.Adapter(seed));
        using var scope = NewDisposeScope();

        Tensor DrawA(long rows, long columns, int rank)
        {
            Tensor a = empty(rows, columns, dtype: ScalarType.Float32);
            if (options.Initialization == LoraInitialization.KaimingUniform) a.uniform_(-1 / Math.Sqrt(columns), 1 / Math.Sqrt(columns), generator);
            else a.normal_(0, Math.Sqrt(2.0 / (columns + rank)), generator);
            return a.to(dtype).to(model.Device).DetachFromDisposeScope();
        }
        Tensor ZeroB(long rows, long columns) => zeros(rows, columns, dtype: dtype, device: model.Device).DetachFromDisposeScope();
        LoraPair Pair(string name)
        {
            Tensor weight = linears[name].Weight;
            return new LoraPair(DrawA(options.Rank, weight.shape[1], options.Rank), ZeroB(weight.shape[0], options.Rank), config.ScaleOf(name));
        }
        ExpertStackLora Stack(string name, Tensor weight)
        {
            int rank = config.RankOf(name);
            long experts = weight.shape[0];
            Tensor drawn = DrawA(experts * model.Stack.ExpertRanks.Size * rank, weight.shape[2], rank), own = ExpertSlice.First.Select(drawn, model.Stack.ExpertRanks);
            if (!ReferenceEquals(own, drawn))
            {
                own = own.clone().DetachFromDisposeScope();
                drawn.Dispose();
            }
            return new(own, ZeroB(weight.shape[1], rank * experts), (int)experts, config.ScaleOf(name));
        }

        foreach (string name in LoraTargets.Match(options.Targets, adapter.AllProjections))
        {
            LoraPair pair = Pair(name);
            adapter.Pairs[name] = (pair, pair);
        }
        if (options.Experts)
            foreach (Experts experts in model.Stack.Layers.Select(l => l.Experts))
            {
                var stacks = new ExpertsLora(Stack($"{experts.Name}.gate_up_proj", experts.GateUp), Stack($"{experts.Name}.down_proj", experts.Down));
                adapter.ExpertStacks[experts.Name] = (stacks, stacks);
            }
        if (options.SelfConditioning)
            foreach (string name in model.Stack.SelfConditioning.Linears.Select(l => l.Name))
                adapter.Pairs[name] = (null, Pair(name));
        return adapter;
    }

    /// <summary>This adapter with other tensors in the places of its own; what both passes share they share there too.</summary>
    /// <param name="of">A new tensor for one of this adapter's, and which part of it (where ranks own experts between them) it is.</param>
    /// <param name="experts">Experts that the new stacks hold.</param>
    internal LoraAdapter Mapped(Func<Tensor, ExpertSlice, Tensor> of, Func<int, int> experts)
    {
        using IDisposable quiet = no_grad();
        var made = new Dictionary<Tensor, Tensor>(ReferenceEqualityComparer.Instance);
        Tensor Once(Tensor tensor, ExpertSlice slice)
        {
            if (made.TryGetValue(tensor, out Tensor? there)) return there;
            using var scope = NewDisposeScope();
            return made[tensor] = of(tensor.detach(), slice).DetachFromDisposeScope();
        }
        var pairs = new Dictionary<LoraPair, LoraPair>(ReferenceEqualityComparer.Instance);
        LoraPair? Pair(LoraPair? pair)
        {
            if (pair is null) return null;
            return pairs.TryGetValue(pair, out LoraPair? there) ? there : pairs[pair] = new LoraPair(Once(pair.A, ExpertSlice.None), Once(pair.B, ExpertSlice.None), pair.Scale);
        }
        var stacks = new Dictionary<ExpertsLora, ExpertsLora>(ReferenceEqualityComparer.Instance);
        ExpertStackLora? Stack(ExpertStackLora? lora) => lora is null ? null : lora with { A = Once(lora.A, ExpertSlice.First), B = Once(lora.B, lora.SliceOfB), Experts = experts(lora.Experts) };
        ExpertsLora? Stacks(ExpertsLora? lora)
        {
            if (lora is null) return null;
            return stacks.TryGetValue(lora, out ExpertsLora? there) ? there : stacks[lora] = new ExpertsLora(Stack(lora.GateUp), Stack(lora.Down));
        }
        var mapped = new LoraAdapter(Config, AllProjections, AllExperts);
        foreach ((string name, (LoraPair? encoder, LoraPair? decoder)) in Pairs) mapped.Pairs[name] = (Pair(encoder), Pair(decoder));
        foreach ((string name, (ExpertsLora? encoder, ExpertsLora? decoder)) in ExpertStacks) mapped.ExpertStacks[name] = (Stacks(encoder), Stacks(decoder));
        return mapped;
    }

    /// <summary>Every distinct tensor, with its part of the experts.</summary>
    internal IReadOnlyList<TrainedParameter> Trained()
    {
        var slices = new Dictionary<Tensor, ExpertSlice>(ReferenceEqualityComparer.Instance);
        foreach (ExpertStackLora lora in ExpertStacks.Values.SelectMany(s => new[] { s.Encoder, s.Decoder }).SelectMany(s => new[] { s?.GateUp, s?.Down }).OfType<ExpertStackLora>())
            (slices[lora.A], slices[lora.B]) = (ExpertSlice.First, lora.SliceOfB);
        return [.. Parameters().Select(p => new TrainedParameter(p.Key, p.Value, slices.GetValueOrDefault(p.Value)))];
    }

    /// <summary>Sets every module's deltas from the adapter, or clears them.</summary>
    /// <exception cref="ArgumentException">The adapter holds a module that the stack does not have, or has in another shape.</exception>
    internal static void Attach(LoraAdapter? adapter, ModelStack stack)
    {
        adapter?.RequireFits(stack);
        foreach (Linear linear in stack.Linears)
            (linear.EncoderLora, linear.DecoderLora) = adapter is not null && adapter.Pairs.TryGetValue(linear.Name, out var pair) ? pair : default;
        foreach (Experts stacks in stack.Layers.Select(l => l.Experts))
            (stacks.EncoderLora, stacks.DecoderLora) = adapter is not null && adapter.ExpertStacks.TryGetValue(stacks.Name, out var pair) ? pair : default;
    }

    /// <summary>Every distinct tensor by its PEFT name, the decoder's where both passes share it.</summary>
    internal IEnumerable<KeyValuePair<string, Tensor>> Parameters()
    {
        var seen = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
        return PeftFolder.Tensors(this).Where(t => seen.Add(t.Value));
    }

    private void RequireFits(ModelStack stack)
    {
        var linears = stack.Linears.ToDictionary(l => l.Name);
        var experts = stack.Layers.Select(l => l.Experts).ToDictionary(e => e.Name);
        bool Fits(string module)
        {
            if (linears.TryGetValue(module, out Linear? linear))
                return Pairs[module] is var (encoder, decoder) && (encoder ?? decoder)!.Fits(linear.Weight) && (decoder ?? encoder)!.Fits(linear.Weight);
            return experts.TryGetValue(module, out Experts? stacks)
                && ExpertStacks[module] is var (encoderStacks, decoderStacks)
                && (encoderStacks ?? decoderStacks)!.Fits(stacks) && (decoderStacks ?? encoderStacks)!.Fits(stacks);
        }
        if (Modules.FirstOrDefault(module => !Fits(module)) is string stranger)
            throw new ArgumentException($"The adapter holds {stranger}, which this model does not have, or has in another shape: it was made for another model.");
    }

    /// <summary>What becomes of each adapted weight, in at least float32: W + scale · B A.</summary>
    private Dictionary<string, Func<Func<Tensor>, Tensor>> Merged(DiffusionGemmaModel model)
    {
        RequireFits(model.Stack);
        IEnumerable<(string, object?, object?)> passes =
            [.. Pairs.Where(p => !LoraTargets.IsDecoderOnly(p.Key)).Select(p => (p.Key, p.Value.Encoder, p.Value.Decoder)), .. ExpertStacks.Select(s => (s.Key, s.Value.Encoder, s.Value.Decoder))];
        foreach ((string name, object? encoder, object? decoder) in passes)
            if (!ReferenceEquals(encoder, decoder))
                throw new InvalidOperationException($"The adapter holds different values for encoder and decoder on {name}: they cannot be merged into the one stack. Keep the adapter beside the model.");

        var merged = new Dictionary<string, Func<Func<Tensor>, Tensor>>();
        void Add(string parameter, Func<Tensor> fullDelta) => merged[parameter] = weight =>
        {
            Tensor delta = fullDelta();
            return weight().to(delta.dtype).to(delta.device) + delta;
        };
        foreach ((string name, (_, LoraPair? pair)) in Pairs) Add($"{name}.weight", pair!.FullDelta);
        foreach ((string name, (_, ExpertsLora? stacks)) in ExpertStacks)
        {
            if (stacks!.GateUp is { } gateUp) Add($"{name}.gate_up_proj", gateUp.FullDelta);
            if (stacks.Down is { } down) Add($"{name}.down_proj", down.FullDelta);
        }
        return merged;
    }
}
