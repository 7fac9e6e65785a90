using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank deltas for a <see cref="DiffusionGemmaModel"/>: on attention and dense projections, and on expert stacks. Encoder and decoder
/// may share one set of values (what this library trains), have one each, or the encoder may go without. Saved and loaded as a PEFT folder.
/// </summary>
public sealed class LoraAdapter : IDisposable
{
    internal LoraAdapter(PeftConfig config, ModelStack stack)
    {
        Config = config;
        AllProjections = [.. stack.Layers.SelectMany(l => l.Linears).Select(l => l.Name)];
        AllExperts = [.. stack.Layers.Select(l => l.Experts.Name)];
    }

    /// <summary>r.</summary>
    public int Rank => Config.Rank;

    /// <summary>The numerator of the scale.</summary>
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

    /// <summary>Names of all the model's projections that can be adapted.</summary>
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
    /// <exception cref="AdapterException">The folder cannot be written.</exception>
    public void Save(string folder, string baseModelNameOrPath) => PeftFolder.Write(this, folder, baseModelNameOrPath);

    /// <summary>Adds the deltas to the model's weights, and takes this adapter off the model where it is set.</summary>
    /// <param name="model">The model the adapter was made for.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both.</exception>
    public void MergeInto(DiffusionGemmaModel model)
    {
        foreach ((string name, (object? encoder, object? decoder)) in Pairs.Select(p => (p.Key, ((object?)p.Value.Encoder, (object?)p.Value.Decoder)))
                     .Concat(ExpertStacks.Select(s => (s.Key, ((object?)s.Value.Encoder, (object?)s.Value.Decoder)))))
            if (!ReferenceEquals(encoder, decoder))
                throw new InvalidOperationException($"The adapter holds different values for encoder and decoder on {name}: they cannot be merged into the one stack. Keep the adapter beside the model.");
        if (ReferenceEquals(model.Adapter, this)) model.Adapter = null;

        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        void Add(string parameter, Tensor delta)
        {
            Tensor weight = model.Stack.Parameters[parameter];
            weight.copy_(weight.to(delta.dtype) + delta);
            model.Changed.Add(parameter);
        }
        foreach ((string name, (_, LoraPair? pair)) in Pairs) Add($"{name}.weight", pair!.FullDelta());
        foreach ((string name, (_, ExpertsLora? stacks)) in ExpertStacks)
        {
            if (stacks!.GateUp is { } gateUp) Add($"{name}.gate_up_proj", gateUp.FullDelta());
            if (stacks.Down is { } down) Add($"{name}.down_proj", down.FullDelta());
        }
    }

    /// <summary>Frees the deltas. Take the adapter off its model first.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in Parameters().Select(p => p.Value)) tensor.Dispose();
    }

    /// <summary>A new adapter: A drawn, B zero. It trains nothing yet.</summary>
    /// <exception cref="ArgumentException">An option is out of range, or a target matches nothing.</exception>
    internal static LoraAdapter Create(DiffusionGemmaModel model, LoraOptions options, long seed)
    {
        options.Validate();
        ScalarType dtype = RotaryEmbedding.AtLeastFloat32(model.DType);
        var linears = model.Stack.Layers.SelectMany(l => l.Linears).ToDictionary(l => l.Name);
        var config = new PeftConfig(options.Rank, options.Alpha, options.RankStabilized, options.Dropout);
        var adapter = new LoraAdapter(config, model.Stack);
        using var generator = new Generator(unchecked((ulong)seed));
        using var scope = NewDisposeScope();

        Tensor DrawA(long rows, long columns)
        {
            Tensor a = empty(rows, columns, dtype: ScalarType.Float32);
            if (options.Initialization == LoraInitialization.KaimingUniform) a.uniform_(-1 / Math.Sqrt(columns), 1 / Math.Sqrt(columns), generator);
            else a.normal_(0, Math.Sqrt(2.0 / (columns + options.Rank)), generator);
            return a.to(dtype).to(model.Device).DetachFromDisposeScope();
        }
        Tensor ZeroB(long rows, long columns) => zeros(rows, columns, dtype: dtype, device: model.Device).DetachFromDisposeScope();
        ExpertStackLora Stack(Tensor weight) => new(
            DrawA(weight.shape[0] * options.Rank, weight.shape[2]), ZeroB(weight.shape[1], options.Rank * weight.shape[0]), (int)weight.shape[0], config.Scale);

        foreach (string name in LoraTargets.Match(options.Targets, adapter.AllProjections))
        {
            Tensor weight = linears[name].Weight;
            var pair = new LoraPair(DrawA(options.Rank, weight.shape[1]), ZeroB(weight.shape[0], options.Rank), config.Scale);
            adapter.Pairs[name] = (pair, pair);
        }
        if (options.Experts)
            foreach (Experts experts in model.Stack.Layers.Select(l => l.Experts))
            {
                var stacks = new ExpertsLora(Stack(experts.GateUp), Stack(experts.Down));
                adapter.ExpertStacks[experts.Name] = (stacks, stacks);
            }
        return adapter;
    }

    /// <summary>Sets every module's deltas from the adapter, or clears them.</summary>
    /// <exception cref="ArgumentException">The adapter holds a module that the stack does not have, or has in another shape.</exception>
    internal static void Attach(LoraAdapter? adapter, ModelStack stack)
    {
        var linears = stack.Layers.SelectMany(l => l.Linears).ToDictionary(l => l.Name);
        var experts = stack.Layers.Select(l => l.Experts).ToDictionary(e => e.Name);
        bool Fits(string module)
        {
            if (linears.TryGetValue(module, out Linear? linear))
                return adapter!.Pairs[module] is var (encoder, decoder) && (encoder ?? decoder)!.Fits(linear.Weight) && (decoder ?? encoder)!.Fits(linear.Weight);
            return experts.TryGetValue(module, out Experts? stacks)
                && adapter!.ExpertStacks[module] is var (encoderStacks, decoderStacks)
                && (encoderStacks ?? decoderStacks)!.Fits(stacks) && (decoderStacks ?? encoderStacks)!.Fits(stacks);
        }
        string? stranger = adapter?.Modules.FirstOrDefault(module => !Fits(module));
        if (stranger is not null)
            throw new ArgumentException($"The adapter holds {stranger}, which this model does not have, or has in another shape: it was made for another model.", nameof(adapter));
        foreach (Linear linear in linears.Values)
            (linear.EncoderLora, linear.DecoderLora) = adapter is not null && adapter.Pairs.TryGetValue(linear.Name, out var pair) ? pair : default;
        foreach (Experts stacks in experts.Values)
            (stacks.EncoderLora, stacks.DecoderLora) = adapter is not null && adapter.ExpertStacks.TryGetValue(stacks.Name, out var pair) ? pair : default;
    }

    /// <summary>Every distinct tensor by its PEFT name, the decoder's where both passes share it.</summary>
    internal IEnumerable<KeyValuePair<string, Tensor>> Parameters()
    {
        var seen = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
        return PeftFolder.Tensors(this).Where(t => seen.Add(t.Value));
    }

    /// <summary>Switches dropout on or off.</summary>
    internal void Train(bool training)
    {
        foreach ((LoraPair? encoder, LoraPair? decoder) in Pairs.Values)
            foreach (LoraPair? pair in new[] { encoder, decoder })
                if (pair is not null)
                    pair.Dropout = training ? Config.Dropout : 0;
    }
}
