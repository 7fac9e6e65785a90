using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Low-rank deltas for a <see cref="DiffusionGemmaModel"/>: on attention and dense projections, on expert stacks, and on self-conditioning.
/// Encoder and decoder may share one set of values (as this library trains them) or have one each, or only the decoder has one. Saved and
/// loaded as a PEFT folder.
/// </summary>
/// <remarks>
/// Any number of adapters can be loaded beside one model, also while a <see cref="GenerationQueue"/> runs: <see
/// cref="GenerationRequest.Adapter"/> names the one that a request is answered with.
/// </remarks>
public sealed class LoraAdapter : IAdapterDeltas, IDisposable
{
    private readonly UseCount _uses;
    private ModelStack? _fits;

    internal LoraAdapter(PeftConfig config, ModelStack stack)
        : this(config, [.. stack.Layers.SelectMany(l => l.Linears).Select(l => l.Name)], [.. stack.Layers.Select(l => l.Experts.Name)])
    {
    }

    private LoraAdapter(PeftConfig config, IReadOnlyList<string> projections, IReadOnlyList<string> experts)
    {
        Config = config;
        AllProjections = projections;
        AllExperts = experts;
        _uses = new UseCount(nameof(LoraAdapter), Free);
    }

    /// <summary>
    /// No deltas at all: as <see cref="GenerationRequest.Adapter"/> the base model alone, also where the model has an adapter set.
    /// </summary>
    public static LoraAdapter None { get; } = new(new PeftConfig(0, 0, false, 0), [], []);

    /// <summary>r, except for modules with a rank of their own.</summary>
    public int Rank => Config.Rank;

    /// <summary>The numerator of the scale, except for modules with one of their own.</summary>
    public double Alpha => Config.Alpha;

    /// <summary>Names of the adapted projections and expert stacks, as in the checkpoint.</summary>
    public IReadOnlyList<string> Modules => [.. Pairs.Keys, .. ExpertStacks.Keys];

    /// <summary>Sentences about what the loaded folder holds and has no effect here, such as pairs of the vision part.</summary>
    public IReadOnlyList<string> Notices { get; internal set; } = [];

    /// <summary>The number of elements of all A and B that text runs through; values that both passes share count once.</summary>
    public long ParameterCount => Parameters().Sum(p => p.Value.numel());

    internal PeftConfig Config { get; }

    /// <summary>The deltas of each pass by projection.</summary>
    internal SortedDictionary<string, (LoraPair? Encoder, LoraPair? Decoder)> Pairs { get; } = new(StringComparer.Ordinal);

    /// <summary>The deltas of each pass by the expert stacks' common name.</summary>
    internal SortedDictionary<string, (ExpertsLora? Encoder, ExpertsLora? Decoder)> ExpertStacks { get; } = new(StringComparer.Ordinal);

    /// <summary>
    /// The tensors of pairs of the vision part by their PEFT names, on the CPU and in the file's dtype: kept, and without effect.
    /// </summary>
    internal SortedDictionary<string, Tensor> Vision { get; } = new(StringComparer.Ordinal);

    /// <summary>Names of all the layers' projections.</summary>
    internal IReadOnlyList<string> AllProjections { get; }

    /// <summary>Names of all the model's expert stacks, one a layer.</summary>
    internal IReadOnlyList<string> AllExperts { get; }

    /// <summary>Reads the folder that PEFT, or <see cref="Save"/>, wrote.</summary>
    /// <param name="folder">Holds adapter_config.json and adapter_model.safetensors.</param>
    /// <param name="model">The base model; the adapter is placed on its device but not yet set as its <see
    /// cref="DiffusionGemmaModel.Adapter"/>.</param>
    /// <param name="layout">The layout of expert stacks, where the folder names no version of PEFT and their shapes fit both; null: such a
    /// folder is refused.</param>
    /// <exception cref="AdapterException">The folder is unreadable, does not fit the model, asks for what is not supported, or does not
    /// tell which layout its expert stacks have.</exception>
    public static LoraAdapter Load(string folder, DiffusionGemmaModel model, ExpertStackLayout? layout = null) =>
        PeftFolder.Read(folder, model, layout);

    /// <summary>
    /// Writes adapter_config.json and adapter_model.safetensors, float32, in PEFT's layout; pairs of the vision part byte for byte.
    /// </summary>
    /// <param name="folder">Created where absent. A former adapter stays until the new one is complete.</param>
    /// <param name="baseModelNameOrPath">Stored as it is given: transformers loads the base model from it.</param>
    /// <param name="revision">Stored as it is given: the commit of a base model that is named by its id on the Hub.</param>
    /// <exception cref="AdapterException">The folder cannot be written.</exception>
    /// <exception cref="InvalidOperationException">This is <see cref="None"/>.</exception>
    /// <exception cref="ObjectDisposedException">The adapter is disposed.</exception>
    public void Save(string folder, string baseModelNameOrPath, string? revision = null)
    {
        if (ReferenceEquals(this, None)) throw new InvalidOperationException("LoraAdapter.None has no deltas to save.");
        using IDisposable use = Use();
        PeftFolder.Write(this, folder, baseModelNameOrPath, revision);
    }

    /// <summary>
    /// Adds the deltas to the model's weights, and takes this adapter off the model where it is set. The model does not hold the vision
    /// part: <see cref="SaveMerged(DiffusionGemmaModel, string, long?)"/> merges its pairs too.
    /// </summary>
    /// <param name="model">The model the adapter was made for.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both. Or the
    /// model's weights are quantised: sums would be rounded to few bits.</exception>
    public void MergeInto(DiffusionGemmaModel model)
    {
        using IDisposable use = Use();
        if (model.Stack.Quantized.Count > 0)
            throw new InvalidOperationException(
                "The model's weights are quantised, and merged ones would be rounded again. Keep the adapter beside the model, or write "
                + "the merged model with SaveMerged, from the folder of the weights that were quantised.");
        IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>> merged = Merge(model);
        if (ReferenceEquals(model.Adapter, this)) model.Adapter = null;
        using IDisposable quiet = no_grad();
        foreach ((string name, Func<Func<Tensor>, Tensor> add) in merged)
        {
            using var scope = NewDisposeScope();
            model.Own(own => own == name);
            Tensor weight = model.Stack.Parameters[name];
            weight.copy_(add(() => weight));
            model.Changed.Add(name);
        }
    }

    /// <summary>
    /// Writes a Hugging Face folder with the deltas added to the weights: a model that needs no adapter. Sums are computed in at least
    /// float32 from the checkpoint's own weights, and rounded once to its dtype, a tensor at a time; the model is not changed.
    /// </summary>
    /// <param name="model">The model the adapter was made for, with or without the adapter set.</param>
    /// <param name="folder">Created where absent; not the model's own. Its former contents stay until the new files are complete.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the source has them.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both.</exception>
    /// <exception cref="CheckpointException">The folder cannot be written.</exception>
    /// <remarks>A model that was quantised on loading is merged from its folder's own, unquantised weights.</remarks>
    public void SaveMerged(DiffusionGemmaModel model, string folder, long? maxShardBytes = null)
    {
        using IDisposable use = Use();
        if (model.HasQuantizedFolder)
            throw new InvalidOperationException(
                $"{model.Folder} holds quantised weights, and merged ones would be rounded again. Name the folder of the weights that were "
                + "quantised, SaveMerged's parameter original.");
        model.Save(folder, maxShardBytes, MergeAll(model, model.Checkpoint));
    }

    /// <summary>
    /// Writes a Hugging Face folder with the deltas added to the weights of another folder: those that the model's own were quantised from.
    /// </summary>
    /// <param name="model">The model the adapter was made for.</param>
    /// <param name="folder">Created where absent; not the original's. Its former contents stay until the new files are complete.</param>
    /// <param name="original">An unquantised folder of the same model.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the original has them.</param>
    /// <exception cref="InvalidOperationException">The two passes have different values: one stack of weights cannot hold both.</exception>
    /// <exception cref="ArgumentException">The original is another model, or quantised itself, or its norms are not the model's: the
    /// quantised weights were made of others.</exception>
    /// <exception cref="CheckpointException">The original cannot be read, or the folder cannot be written.</exception>
    public void SaveMerged(DiffusionGemmaModel model, string folder, string original, long? maxShardBytes = null)
    {
        using IDisposable use = Use();
        using Checkpoint source = Checkpoint.Open(original);
        if (source.Quantized.Count > 0)
            throw new ArgumentException(
                $"{original} holds quantised weights: name the folder of the weights that were quantised.", nameof(original));
        IReadOnlyDictionary<string, long[]> own = CheckpointLayout.Expected(model.Config);
        IReadOnlyDictionary<string, long[]> others = CheckpointLayout.Expected(source.Config);
        if (own.Count != others.Count || own.FirstOrDefault(w => !others.TryGetValue(w.Key, out long[]? s) || !s.SequenceEqual(w.Value)).Key
            is not null)
            throw new ArgumentException($"{original} is another model: its weights have other names or shapes.", nameof(original));
        RequireSameNorms(model.Checkpoint, source, own);
        CheckpointWriter.Save(source, folder, new Dictionary<string, Tensor>(), maxShardBytes, MergeAll(model, source));
    }

    /// <summary>
    /// Compares norms and scalars, which quantisation leaves as they are: a delta fits the weights that it was trained over, and no others.
    /// </summary>
    private static void RequireSameNorms(Checkpoint quantized, Checkpoint original, IReadOnlyDictionary<string, long[]> weights)
    {
        const double rounding = 1.0 / 256;                                           // either may be stored in bfloat16
        using IDisposable quiet = no_grad();
        foreach (string name in weights.Where(weight => weight.Value.Length == 1).Select(weight => weight.Key))
        {
            using var scope = NewDisposeScope();
            Tensor a = quantized.Read(name, CPU, ScalarType.Float32), b = original.Read(name, CPU, ScalarType.Float32);
            if ((a - b).abs().le(b.abs() * rounding).all().item<bool>()) continue;
            throw new ArgumentException(
                $"{original.Folder} holds other weights than those that {quantized.Folder} was quantised from: {name} differs. Name the "
                + "folder that was quantised. Some methods move scales of activations into the norms (AWQ, SmoothQuant): then no folder "
                + "fits, and the adapter stays beside the model.", nameof(original));
        }
    }

    /// <summary>
    /// Frees the deltas; those that requests are being answered with, or wait to be, when the last of these ends. Take the adapter off its
    /// model first. A later use throws <see cref="ObjectDisposedException"/>. <see cref="None"/> is never disposed.
    /// </summary>
    public void Dispose()
    {
        if (!ReferenceEquals(this, None)) _uses.Close();
    }

    /// <inheritdoc/>
    LoraPair? IAdapterDeltas.OfProjection(string name, Pass pass) =>
        Pairs.TryGetValue(name, out var pair) ? pass == Pass.Encoder ? pair.Encoder : pair.Decoder : null;

    /// <inheritdoc/>
    ExpertsLora? IAdapterDeltas.OfExperts(string name, Pass pass) =>
        ExpertStacks.TryGetValue(name, out var pair) ? pass == Pass.Encoder ? pair.Encoder : pair.Decoder : null;

    /// <summary>True after <see cref="Dispose"/>, also while the deltas are still in use.</summary>
    internal bool IsDisposed => _uses.IsClosed;

    /// <summary>Keeps the deltas, also of an adapter that is disposed meanwhile, until the result is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The adapter is disposed.</exception>
    internal IDisposable Use() => _uses.Enter();

    private void Free()
    {
        foreach (Tensor tensor in Parameters().Concat(Vision).Select(p => p.Value)) tensor.Dispose();
    }

    /// <summary>
    /// Creates an adapter with A drawn and B zero; for a rank's part of a model, the same part of the whole model's adapter.
    /// </summary>
    /// <exception cref="ArgumentException">An option is out of range, or a target matches nothing.</exception>
    internal static LoraAdapter Create(DiffusionGemmaModel model, LoraOptions options, long seed)
    {
        options.Validate();
        ScalarType dtype = model.DType.AtLeastFloat32();
        var linears = model.Stack.Linears.ToDictionary(l => l.Name);
        static PeftPattern StackPattern(double? value, double common) => value is double own && own != common
            ? new PeftPattern([new("experts.down_proj", own), new("experts.gate_up_proj", own)])
            : PeftPattern.None;
        var config = new PeftConfig(options.Rank, options.Alpha, options.RankStabilized, options.Dropout)
        {
            RankPattern = StackPattern(options.ExpertRank, options.Rank), AlphaPattern = StackPattern(options.ExpertAlpha, options.Alpha),
        };
        var adapter = new LoraAdapter(config, model.Stack);
        using var generator = HostDraws.Generator(Seeds.Adapter(seed));
        using var scope = NewDisposeScope();

        Tensor DrawA(long rows, long columns, int rank)
        {
            Tensor a = empty(rows, columns, dtype: ScalarType.Float32, device: CPU);
            if (options.Initialization == LoraInitialization.KaimingUniform)
                a.uniform_(-1 / Math.Sqrt(columns), 1 / Math.Sqrt(columns), generator);
            else a.normal_(0, Math.Sqrt(2.0 / (columns + rank)), generator);
            return a.to(dtype).to(model.Device).DetachFromDisposeScope();
        }
        Tensor ZeroB(long rows, long columns) => zeros(rows, columns, dtype: dtype, device: model.Device).DetachFromDisposeScope();
        LoraPair Pair(string name)
        {
            long[] shape = linears[name].Weight.Shape;
            return new LoraPair(DrawA(options.Rank, shape[1], options.Rank), ZeroB(shape[0], options.Rank), config.ScaleOf(name));
        }
        ExpertStackLora Stack(string name, StoredWeight weight)
        {
            int rank = config.RankOf(name);
            long experts = weight.Shape[0];
            Tensor drawn = DrawA(experts * model.Stack.ExpertRanks.Size * rank, weight.Shape[2], rank);
            Tensor own = ExpertSlice.First.Select(drawn, model.Stack.ExpertRanks);
            if (!ReferenceEquals(own, drawn))
            {
                own = own.clone().DetachFromDisposeScope();
                drawn.Dispose();
            }
            return new(own, ZeroB(weight.Shape[1], rank * experts), (int)experts, config.ScaleOf(name));
        }

        foreach (string name in LoraTargets.Match(options.Targets, adapter.AllProjections))
        {
            LoraPair pair = Pair(name);
            adapter.Pairs[name] = (pair, pair);
        }
        if (options.Experts)
            foreach (Experts experts in model.Stack.Layers.Select(l => l.Experts))
            {
                var stacks = new ExpertsLora(
                    Stack($"{experts.Name}.gate_up_proj", experts.GateUp), Stack($"{experts.Name}.down_proj", experts.Down));
                adapter.ExpertStacks[experts.Name] = (stacks, stacks);
            }
        if (options.SelfConditioning)
            foreach (string name in model.Stack.SelfConditioning.Linears.Select(l => l.Name))
                adapter.Pairs[name] = (null, Pair(name));
        return adapter;
    }

    /// <summary>Copies this adapter with other tensors; values that both passes share are shared in the copy too.</summary>
    /// <param name="map">Returns the new tensor for one of this adapter's, with the split of the tensor over ranks.</param>
    /// <param name="experts">Returns the number of experts of a new stack.</param>
    internal LoraAdapter Map(Func<Tensor, ExpertSlice, Tensor> map, Func<int, int> experts)
    {
        using IDisposable quiet = no_grad();
        var made = new Dictionary<Tensor, Tensor>(ReferenceEqualityComparer.Instance);
        Tensor Once(Tensor tensor, ExpertSlice slice)
        {
            if (made.TryGetValue(tensor, out Tensor? existing)) return existing;
            using var scope = NewDisposeScope();
            return made[tensor] = map(tensor.detach(), slice).DetachFromDisposeScope();
        }
        var pairs = new Dictionary<LoraPair, LoraPair>(ReferenceEqualityComparer.Instance);
        LoraPair? Pair(LoraPair? pair)
        {
            if (pair is null) return null;
            if (pairs.TryGetValue(pair, out LoraPair? existing)) return existing;
            return pairs[pair] = new LoraPair(Once(pair.A, ExpertSlice.None), Once(pair.B, ExpertSlice.None), pair.Scale);
        }
        var stacks = new Dictionary<ExpertsLora, ExpertsLora>(ReferenceEqualityComparer.Instance);
        ExpertStackLora? Stack(ExpertStackLora? lora) => lora is null
            ? null
            : lora with { A = Once(lora.A, ExpertSlice.First), B = Once(lora.B, SliceOfB(lora)), Experts = experts(lora.Experts) };
        ExpertsLora? Stacks(ExpertsLora? lora)
        {
            if (lora is null) return null;
            if (stacks.TryGetValue(lora, out ExpertsLora? existing)) return existing;
            return stacks[lora] = new ExpertsLora(Stack(lora.GateUp), Stack(lora.Down));
        }
        var mapped = new LoraAdapter(Config, AllProjections, AllExperts);
        foreach ((string name, (LoraPair? encoder, LoraPair? decoder)) in Pairs) mapped.Pairs[name] = (Pair(encoder), Pair(decoder));
        foreach ((string name, (ExpertsLora? encoder, ExpertsLora? decoder)) in ExpertStacks)
            mapped.ExpertStacks[name] = (Stacks(encoder), Stacks(decoder));
        foreach ((string name, Tensor tensor) in Vision) mapped.Vision[name] = tensor.alias().DetachFromDisposeScope();
        return mapped;
    }

    /// <inheritdoc/>
    IEnumerable<object> IAdapterDeltas.List()
    {
        foreach ((LoraPair? encoder, LoraPair? decoder) in Pairs.Values)
            foreach (LoraPair pair in new[] { encoder, decoder }.OfType<LoraPair>()) yield return pair;
        foreach (ExpertsLora stacks in ExpertStacks.Values.SelectMany(pair => new[] { pair.Encoder, pair.Decoder }).OfType<ExpertsLora>())
            foreach (ExpertStackLora stack in new[] { stacks.GateUp, stacks.Down }.OfType<ExpertStackLora>()) yield return stack;
    }

    /// <summary>Lists every distinct tensor with its split over ranks.</summary>
    internal IReadOnlyList<TrainedParameter> ListTrained()
    {
        var slices = new Dictionary<Tensor, ExpertSlice>(ReferenceEqualityComparer.Instance);
        IEnumerable<ExpertsLora?> passes = ExpertStacks.Values.SelectMany(s => new[] { s.Encoder, s.Decoder });
        foreach (ExpertStackLora lora in passes.SelectMany(s => new[] { s?.GateUp, s?.Down }).OfType<ExpertStackLora>())
            (slices[lora.A], slices[lora.B]) = (ExpertSlice.First, SliceOfB(lora));
        return [.. Parameters().Select(p => new TrainedParameter(p.Key, p.Value, slices.GetValueOrDefault(p.Value)))];
    }

    /// <summary>Sets every module's deltas from the adapter, or clears them.</summary>
    /// <exception cref="ArgumentException">The adapter holds a module that the stack does not have, or has in another shape.</exception>
    /// <exception cref="ObjectDisposedException">The adapter is disposed.</exception>
    internal static void Attach(LoraAdapter? adapter, ModelStack stack)
    {
        using IDisposable? use = adapter?.Use();
        adapter?.RequireFits(stack);
        foreach (Linear linear in stack.Linears)
            (linear.EncoderLora, linear.DecoderLora) = adapter is not null && adapter.Pairs.TryGetValue(linear.Name, out var pair)
                ? pair
                : default;
        foreach (Experts stacks in stack.Layers.Select(l => l.Experts))
            (stacks.EncoderLora, stacks.DecoderLora) = adapter is not null && adapter.ExpertStacks.TryGetValue(stacks.Name, out var pair)
                ? pair
                : default;
    }

    /// <summary>Lists every distinct tensor by its PEFT name: the decoder's where both passes share it.</summary>
    internal IEnumerable<KeyValuePair<string, Tensor>> Parameters()
    {
        var seen = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
        return PeftFolder.Tensors(this).Where(t => seen.Add(t.Value));
    }

    /// <summary>The split of a stack's B over ranks that share the experts.</summary>
    internal static ExpertSlice SliceOfB(ExpertStackLora lora) => new(lora.B.shape[0] * lora.Rank);

    /// <summary>Finds what keeps the adapter from a model, as words that follow "the adapter"; null: it fits.</summary>
    internal string? FindMisfit(ModelStack stack)
    {
        if (ReferenceEquals(Volatile.Read(ref _fits), stack)) return null;
        var linears = stack.Linears.ToDictionary(l => l.Name);
        var experts = stack.Layers.Select(l => l.Experts).ToDictionary(e => e.Name);
        bool Fits(string module)
        {
            if (linears.TryGetValue(module, out Linear? linear))
                return Pairs[module] is var (encoder, decoder) && (encoder ?? decoder)!.Fits(linear.Weight)
                    && (decoder ?? encoder)!.Fits(linear.Weight);
            return experts.TryGetValue(module, out Experts? stacks)
                && ExpertStacks[module] is var (encoderStacks, decoderStacks)
                && (encoderStacks ?? decoderStacks)!.Fits(stacks.GateUp, stacks.Down)
                    && (decoderStacks ?? encoderStacks)!.Fits(stacks.GateUp, stacks.Down);
        }
        if (Modules.FirstOrDefault(module => !Fits(module)) is string misfit)
            return $"holds {misfit}, which this model does not have, or has in another shape: it was made for another model.";
        if (Parameters().Select(p => p.Value.device).FirstOrDefault(device => !IsSame(device, stack.Device)) is { } elsewhere)
            return $"lies on {elsewhere}, and this model on {stack.Device}: load it with this model.";
        Volatile.Write(ref _fits, stack);
        return null;
    }

    private static bool IsSame(Device a, Device b) => a.type == b.type && (a.type == TorchSharp.DeviceType.CPU || a.index == b.index);

    private void RequireFits(ModelStack stack)
    {
        if (FindMisfit(stack) is { } misfit) throw new ArgumentException($"The adapter {misfit}");
    }

    /// <summary>Maps each adapted weight, the vision part's too, to a function that computes W + scale · B A.</summary>
    private Dictionary<string, Func<Func<Tensor>, Tensor>> MergeAll(DiffusionGemmaModel model, Checkpoint source)
    {
        Dictionary<string, Func<Func<Tensor>, Tensor>> merged = Merge(model);
        foreach ((string module, Func<Tensor> delta) in VisionLora.Deltas(Vision, Config))
        {
            string name = $"{module}.weight";
            if (!source.Weights.Tensors.ContainsKey(name))
                throw new InvalidOperationException(
                    $"The adapter changes {module}, which {source.Folder} does not have: it was made for another model.");
            merged[name] = weight => weight().to(ScalarType.Float32) + delta().to(ScalarType.Float32);
        }
        return merged;
    }

    /// <summary>Maps each adapted weight to a function that computes W + scale · B A in at least float32.</summary>
    private Dictionary<string, Func<Func<Tensor>, Tensor>> Merge(DiffusionGemmaModel model)
    {
        RequireFits(model.Stack);
        IEnumerable<(string, object?, object?)> passes =
        [
            .. Pairs.Where(p => !LoraTargets.IsDecoderOnly(p.Key)).Select(p => (p.Key, p.Value.Encoder, p.Value.Decoder)),
            .. ExpertStacks.Select(s => (s.Key, s.Value.Encoder, s.Value.Decoder)),
        ];
        foreach ((string name, object? encoder, object? decoder) in passes)
            if (!ReferenceEquals(encoder, decoder))
                throw new InvalidOperationException(
                    $"The adapter holds different values for encoder and decoder on {name}: they cannot be merged into the one stack. "
                    + "Keep the adapter beside the model.");

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
