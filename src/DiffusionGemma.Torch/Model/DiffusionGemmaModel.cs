using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// DiffusionGemma's text model: one stack of layers that runs as a causal encoder over clean tokens and as a bidirectional decoder over a
/// noised canvas. Formulas: transformers' <c>models/diffusion_gemma</c>. Not safe for two passes at once.
/// </summary>
public sealed class DiffusionGemmaModel : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly ModelStack _stack;
    private readonly bool _ownsCheckpoint;
    private LoraAdapter? _adapter;
    private bool _disposed;

    private DiffusionGemmaModel(Checkpoint checkpoint, ModelStack stack, bool ownsCheckpoint)
    {
        _checkpoint = checkpoint;
        _stack = stack;
        _ownsCheckpoint = ownsCheckpoint;
    }

    /// <summary>The checkpoint's configuration.</summary>
    public DiffusionGemmaConfig Config => _checkpoint.Config;

    /// <summary>The device of the weights.</summary>
    public Device Device => Stack.Device;

    /// <summary>The dtype that passes compute in.</summary>
    public ScalarType DType => Stack.DType;

    /// <summary>The rounding of weights on loading; None also where the folder itself is quantised.</summary>
    public Quantization Quantization { get; private init; }

    /// <summary>
    /// Messages about the way the weights were loaded: activations that are not quantised, weights that were rounded twice.
    /// </summary>
    public IReadOnlyList<string> Notices { get; private init; } = [];

    /// <summary>The folder that the model was loaded from.</summary>
    public string Folder => _checkpoint.Folder;

    /// <summary>
    /// Low-rank deltas that both passes add, or null. The model does not own them: setting another adapter, or null, leaves the former
    /// usable.
    /// </summary>
    public LoraAdapter? Adapter
    {
        get => _adapter;
        set
        {
            LoraAdapter.Attach(value, value is null ? _stack : Stack);
            _adapter = value;
        }
    }

    /// <summary>The weights and modules.</summary>
    /// <exception cref="ObjectDisposedException">The weights are freed.</exception>
    internal ModelStack Stack
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _stack;
        }
    }

    /// <summary>True where the folder itself, and not only what is held in memory, is quantised.</summary>
    internal bool HasQuantizedFolder => _checkpoint.Quantized.Count > 0;

    internal Checkpoint Checkpoint => _checkpoint;

    /// <summary>Names of the tensors that differ from the checkpoint.</summary>
    internal HashSet<string> Changed { get; } = [];

    /// <summary>Loads a Hugging Face folder. Tensors the model does not use (vision) stay on disk.</summary>
    /// <param name="folder">config.json and model.safetensors, or shards with an index.</param>
    /// <param name="device">The device of the weights; null: the CPU.</param>
    /// <param name="dtype">What is computed in: float32, float64 or bfloat16; null: the checkpoint's own, or of a quantised one float32 on
    /// the CPU and bfloat16 on other devices. Quantised weights, and on the CPU matrices in bfloat16, stay as they are stored, in the
    /// folder's mapped files.</param>
    /// <param name="quantization">Rounds attention, dense layers and experts to 8 or 4 bits, and the embedding to 8, a tensor at a time;
    /// such weights are frozen. None: a folder that is quantised stays as it is stored.</param>
    /// <param name="verify">Compares every byte of the weights with the folder's SHA256SUMS (which this library and sha256sum write) or,
    /// in the Hub's cache, with the Hub's own digests. False: headers, lengths, shapes and dtypes are checked.</param>
    /// <exception cref="CheckpointException">A file or tensor is missing, extra or malformed; nothing is initialised at random. With
    /// <paramref name="verify"/> also: a file has other bytes, or there is nothing to compare it with.</exception>
    /// <exception cref="ArgumentException">The folder's weights have as few bits already, or rows that do not divide into
    /// groups.</exception>
    /// <example>
    /// <code>
    /// using var model = DiffusionGemmaModel.Load("diffusiongemma", quantization: Quantization.Int4);
    /// </code>
    /// </example>
    public static DiffusionGemmaModel Load(
        string folder, Device? device = null, ScalarType? dtype = null, Quantization quantization = Quantization.None, bool verify = false)
    {
        DiffusionGemmaRuntime.EnsureUsable(device);
        _ = Kernels.Set;                                                                         // throws before weights are read
        using IDisposable? trainable = InferenceMode.Leave();
        if (verify) FolderDigests.Verify(folder);
        Checkpoint checkpoint = Checkpoint.Open(folder);
        try
        {
            ScalarType computed = dtype ?? QuantizedWeights.ComputeType(checkpoint, device ?? CPU);
            return Read(checkpoint, device ?? CPU, computed, new SingleRank(), ownsCheckpoint: true, quantization);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Loads one rank's part of a checkpoint, without the other ranks' experts. The caller keeps the checkpoint. For the last two see <see
    /// cref="ModelStack.Create"/>.
    /// </summary>
    internal static DiffusionGemmaModel LoadShare(
        Checkpoint checkpoint, Device device, ScalarType dtype, IProcessGroup expertRanks, Quantization quantization = Quantization.None,
        IHostReads? reads = null, bool? countsOnDevice = null) =>
        Read(checkpoint, device, dtype, expertRanks, ownsCheckpoint: false, quantization, reads, countsOnDevice);

    /// <summary>
    /// Creates a model of given weights: those of the checkpoint are not read. The model owns both, the checkpoint and the weights.
    /// </summary>
    internal static DiffusionGemmaModel Create(Checkpoint checkpoint, Func<string, StoredWeight> weight) =>
        new(checkpoint, ModelStack.Create(checkpoint.Config, weight, new SingleRank()), ownsCheckpoint: true);

    /// <summary>
    /// Creates one rank's part of this model, which must outlive it: copies on another device; on the same device the same tensors, except
    /// for those that train, which each rank needs for itself.
    /// </summary>
    internal DiffusionGemmaModel Share(Device device, IProcessGroup expertRanks, Func<string, bool> trains)
    {
        using IDisposable quiet = no_grad();
        bool isThere = device.type == Device.type && (device.type == DeviceType.CPU || device.index == Device.index);
        StoredWeight Part(string name)
        {
            using var scope = NewDisposeScope();
            if (Stack.Quantized.TryGetValue(name, out StoredWeight? quantized))
            {
                int count = quantized.Slices.Count / (IsStack(name) ? expertRanks.Size : 1);
                int first = IsStack(name) ? expertRanks.Rank * count : 0;
                return quantized.MapSlices(
                    tensor => (isThere ? tensor.alias() : tensor.to(device)).DetachFromDisposeScope(), first, count);
            }
            Tensor whole = Stack.Parameters[name].detach(), part = IsStack(name) ? ExpertSlice.First.Select(whole, expertRanks) : whole;
            if (isThere && !trains(name)) return StoredWeight.Lent(part.alias().MoveToOuterDisposeScope());
            return (isThere ? part.to(DType, copy: true) : part.to(DType, device)).MoveToOuterDisposeScope();
        }
        return new DiffusionGemmaModel(
            _checkpoint, ModelStack.Create(Config, Part, expertRanks, _stack.Reads, _stack.RequestedCountsOnDevice), ownsCheckpoint: false)
        {
            Quantization = Quantization, Notices = Notices,
        };
    }

    /// <summary>
    /// Makes weights ones that may be written to, in the dtype that is computed in, for training or merging: frozen ones may be narrower,
    /// or lie in the checkpoint's mapped files. Quantised ones stay as they are.
    /// </summary>
    internal void Own(Func<string, bool> which)
    {
        foreach (string name in Stack.Parameters.Keys.Where(which).ToArray())
            if (Stack.Own(name) && _checkpoint.Weights.Tensors.ContainsKey(name)) _checkpoint.Weights.ReleasePages(name);
    }

    /// <summary>Returns true for the name of a stack of experts.</summary>
    internal static bool IsStack(string name) => name.Contains(".experts.", StringComparison.Ordinal);

    /// <summary>Runs the causal pass over clean tokens.</summary>
    /// <param name="inputIds">[B,S] int64.</param>
    /// <param name="attentionMask">[B,S] bool for these new tokens only, true = real; null: all real. Padding may be on either
    /// side.</param>
    /// <param name="past">Tokens that are already encoded: the new ones are appended.</param>
    /// <returns>The cache; with a past, the same object, which has grown.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
    public EncoderCache Encode(Tensor inputIds, Tensor? attentionMask = null, EncoderCache? past = null) =>
        Encode(inputIds, attentionMask, past, new PassContext(Pass.Encoder));

    /// <summary>Runs the causal pass with a given context; reads which tokens are real where there is a mask.</summary>
    internal EncoderCache Encode(Tensor inputIds, Tensor? attentionMask, EncoderCache? past, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor? real = attentionMask is null ? null : Stack.Reads.IndicesOf(attentionMask.to(Device).to(ScalarType.Bool));
        if (real?.shape[0] == attentionMask?.numel()) real = null;
        return Encode(inputIds, attentionMask, real, past, context);
    }

    /// <summary>Runs the causal pass with a given context and tokens that are known to be real.</summary>
    /// <param name="inputIds">[B,S] int64.</param>
    /// <param name="attentionMask">[B,S] bool, true = real; null: all are.</param>
    /// <param name="real">[n] int64, on the model's device: the true places of <paramref name="attentionMask"/>; null: all.</param>
    /// <param name="past">Tokens that are already encoded: the new ones are appended; null: none.</param>
    /// <param name="context">The encoder pass.</param>
    internal EncoderCache Encode(Tensor inputIds, Tensor? attentionMask, Tensor? real, EncoderCache? past, PassContext context)
    {
        RequireIds(inputIds, nameof(inputIds));
        if (attentionMask is not null && !attentionMask.shape.SequenceEqual(inputIds.shape))
            throw new ArgumentException(
                $"attentionMask is [{Shape(attentionMask)}], inputIds [{Shape(inputIds)}]: one flag a new token.", nameof(attentionMask));
        if (past is not null && past.Mask.shape[0] != inputIds.shape[0])
            throw new ArgumentException($"The cache holds {past.Mask.shape[0]} rows, inputIds {inputIds.shape[0]}.", nameof(past));

        using var scope = NewDisposeScope();
        Tensor ids = inputIds.to(Device);
        Tensor mask = attentionMask?.to(Device).to(ScalarType.Bool) ?? ones_like(ids, ScalarType.Bool);
        Tensor keyMask = past is null ? mask : cat([past.Mask, mask], 1);
        Tensor keyPositions = (keyMask.cumsum(-1) - 1).clamp_min(0);
        Tensor positions = keyPositions.narrow(1, keyPositions.shape[1] - ids.shape[1], ids.shape[1]);

        TensorLayerCache[]? grown = past is null ? null : [.. past.Layers.Select(layer => new TensorLayerCache(layer, scope))];
        (Tensor hidden, List<KeyValues> fresh) = Stack.Run(
            Stack.Embed(ids, context), positions, grown,
            kind => AttentionMasks.Encoder(kind, Config.SlidingWindow, positions, keyPositions, keyMask), context,
            real: real);
        if (past is null) return new EncoderCache(fresh, keyMask.alias(), keyPositions, hidden);
        past.Replace([.. grown!.Select(layer => layer.Held)], keyMask, keyPositions, hidden);
        return past;
    }

    /// <summary>Runs the bidirectional pass over a canvas; the cache is only read.</summary>
    /// <param name="canvasIds">[B,C] int64.</param>
    /// <param name="cache">The cache that <see cref="Encode(Tensor, Tensor?, EncoderCache?)"/> returned for the same rows.</param>
    /// <param name="selfConditioningLogits">[B,C,V] of an earlier pass over this canvas, or null.</param>
    /// <param name="selfConditioningMask">[B] bool: rows that are conditioned; null: all, where there are logits.</param>
    /// <param name="starts">[B] int64, the position of each row's canvas; only earlier positions are seen (training). Null: right after the
    /// cached tokens (inference).</param>
    /// <returns>Logits [B,C,V] after the soft-cap, at least float32.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
    public Tensor Decode(
        Tensor canvasIds, EncoderCache cache, Tensor? selfConditioningLogits = null, Tensor? selfConditioningMask = null,
        Tensor? starts = null)
    {
        using var scope = NewDisposeScope();
        RequirePerRow(selfConditioningMask, canvasIds.shape[0], nameof(selfConditioningMask));
        long[] logitsShape = [.. canvasIds.shape, Config.VocabularySize];
        if (selfConditioningLogits is not null && !selfConditioningLogits.shape.SequenceEqual(logitsShape))
            throw new ArgumentException(
                $"selfConditioningLogits is [{Shape(selfConditioningLogits)}], expected [{string.Join(',', logitsShape)}].",
                nameof(selfConditioningLogits));
        Tensor? rows = selfConditioningLogits is null || selfConditioningMask is null
            ? null : _stack.Reads.IndicesOf(selfConditioningMask.to(Device));
        Tensor? logits = selfConditioningLogits?.to(Device);
        var context = new PassContext(Pass.Decoder);
        if (rows is not null) logits = TorchOperators.SelectRows(logits!, rows);
        Tensor hidden = Decode(canvasIds, cache, logits, rows, starts, null, context);
        return Logits(hidden, context).MoveToOuterDisposeScope();
    }

    /// <summary>Computes head and soft-cap of an already normed hidden state.</summary>
    /// <param name="hidden">[...,H].</param>
    /// <returns>[...,V], at least float32: cap · tanh(x / cap).</returns>
    public Tensor Logits(Tensor hidden) => Logits(hidden, new PassContext(Pass.Decoder));

    /// <summary>Computes head and soft-cap with a given context.</summary>
    internal Tensor Logits(Tensor hidden, PassContext context)
    {
        using var scope = NewDisposeScope();
        Tensor scores = LinearFunction.Project(hidden, Stack.Embedding, context).to(DType.AtLeastFloat32());
        return (scores.div_(Config.FinalLogitSoftcapping).tanh_() * Config.FinalLogitSoftcapping).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Writes a Hugging Face folder: changed tensors in the checkpoint's own dtype, the bytes of all others as they were.
    /// </summary>
    /// <param name="folder">Created where absent. Its former contents stay until the new files are complete.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the source has them.</param>
    /// <exception cref="CheckpointException">The folder cannot be written.</exception>
    public void Save(string folder, long? maxShardBytes = null) => Save(folder, maxShardBytes, null);

    /// <summary>Writes a folder with some tensors passed through a function.</summary>
    internal void Save(string folder, long? maxShardBytes, IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>>? edits) =>
        CheckpointWriter.Save(
            _checkpoint, folder, Changed.ToDictionary(name => name, name => Stack.Parameters[name]), maxShardBytes, edits);

    /// <summary>Writes a folder from a rank's part; <paramref name="gathered"/> returns the tensors that it does not hold whole.</summary>
    internal void SaveGathered(string folder, IReadOnlyDictionary<string, Func<Func<Tensor>, Tensor>> gathered) =>
        CheckpointWriter.Save(
            _checkpoint, folder,
            Changed.Where(name => !gathered.ContainsKey(name)).ToDictionary(name => name, name => Stack.Parameters[name]), null, gathered);

    /// <summary>Decodes canvases against an encoder cache.</summary>
    /// <param name="canvasIds">[B,C] int64.</param>
    /// <param name="cache">The encoded tokens of the same rows; only read.</param>
    /// <param name="logits">[n,C,V] of an earlier pass that condition this one; null: none.</param>
    /// <param name="conditioned">[n] int64: the rows that <paramref name="logits"/> condition; null: all.</param>
    /// <param name="starts">[B] int64, the position of each row's canvas; null: right after the cached tokens.</param>
    /// <param name="canvasMask">[B,C] bool, false = beyond the end of a shorter canvas; null: all are whole.</param>
    /// <param name="context">The decoder pass.</param>
    /// <param name="real">[n] int64, on the model's device: the true places of <paramref name="canvasMask"/>; null: all.</param>
    /// <returns>The hidden state [B,C,H] after the final norm.</returns>
    internal Tensor Decode(
        Tensor canvasIds, EncoderCache cache, Tensor? logits, Tensor? conditioned, Tensor? starts, Tensor? canvasMask, PassContext context,
        Tensor? real = null)
    {
        RequireIds(canvasIds, nameof(canvasIds));
        if (cache.Mask.shape[0] != canvasIds.shape[0])
            throw new ArgumentException($"The cache holds {cache.Mask.shape[0]} rows, canvasIds {canvasIds.shape[0]}.", nameof(cache));
        RequirePerRow(starts, canvasIds.shape[0], nameof(starts));

        using var scope = NewDisposeScope();
        Tensor ids = canvasIds.to(Device), first = starts?.to(Device) ?? cache.NextPositions();
        Tensor positions = first.unsqueeze(-1) + arange(ids.shape[1], device: Device);
        Tensor wholeCanvas = canvasMask?.to(Device) ?? ones_like(ids, ScalarType.Bool);
        Conditioning? conditioning = logits is null || logits.shape[0] == 0
            ? null
            : new Conditioning(Stack.ExpectedEmbedding(logits, context), conditioned);
        return Decode(
            ids, positions, [.. cache.Layers.Select(layer => new TensorLayerCache(layer))], conditioning,
            kind => AttentionMasks.Decoder(kind, Config.SlidingWindow, first, cache.Positions, cache.Mask, wholeCanvas), context,
            real: real).MoveToOuterDisposeScope();
    }

    /// <summary>Runs the bidirectional pass over canvases, in training and in inference.</summary>
    /// <param name="ids">[B,C] int64.</param>
    /// <param name="positions">[B,C] int64.</param>
    /// <param name="pasts">One cache a layer with the encoded tokens of the same rows.</param>
    /// <param name="conditioning">An earlier prediction for these canvases; null: none.</param>
    /// <param name="masks">[B,1,C,K] bool for each kind of attention, true = may be seen; null: all is.</param>
    /// <param name="context">The decoder pass.</param>
    /// <param name="real">[n] int64: the places among B·C that are no padding, which is routed to no expert; null: all.</param>
    /// <returns>The hidden state [B,C,H] after the final norm.</returns>
    internal Tensor Decode(
        Tensor ids, Tensor positions, IReadOnlyList<ILayerCache> pasts, Conditioning? conditioning, Func<AttentionKind, Tensor?> masks,
        PassContext context, Tensor? real = null)
    {
        Tensor embedded = Stack.SelfConditioning.Forward(Stack.Embed(ids, context), conditioning, context);
        return Stack.Run(embedded, positions, pasts, masks, context, real: real).Hidden;
    }

    /// <summary>Runs the causal pass over new tokens to append their keys and values to caches.</summary>
    /// <param name="ids">[B,S] int64.</param>
    /// <param name="positions">[B,S] or [1,S] int64.</param>
    /// <param name="pasts">One cache a layer.</param>
    /// <param name="masks">[B,1,S,K] bool for each kind of attention, true = may be seen.</param>
    /// <param name="context">The encoder pass.</param>
    internal void Encode(
        Tensor ids, Tensor positions, IReadOnlyList<ILayerCache> pasts, Func<AttentionKind, Tensor?> masks, PassContext context) =>
        Stack.Run(Stack.Embed(ids, context), positions, pasts, masks, context, keysOnly: true);

    /// <summary>
    /// Frees the weights and closes the checkpoint's files, but not the adapter. Every later use is an
    /// <see cref="ObjectDisposedException"/>; end passes and queues first.
    /// </summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _stack.Dispose();
        if (_ownsCheckpoint) _checkpoint.Dispose();
        HeapTrim.Run();
    }

    private static DiffusionGemmaModel Read(
        Checkpoint checkpoint, Device device, ScalarType dtype, IProcessGroup expertRanks, bool ownsCheckpoint, Quantization quantization,
        IHostReads? reads = null, bool? countsOnDevice = null)
    {
        if (dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16))
            throw new ArgumentException(
                $"dtype {dtype} is not supported: load as float32, bfloat16 or (on the CPU) float64.", nameof(dtype));
        QuantizedWeights.Check(checkpoint, quantization);
        StoredWeight Part(string name) => QuantizedWeights.Read(checkpoint, name, device, dtype, expertRanks, quantization);
        return new DiffusionGemmaModel(
            checkpoint, ModelStack.Create(checkpoint.Config, Part, expertRanks, reads, countsOnDevice), ownsCheckpoint)
        {
            Quantization = quantization, Notices = QuantizedWeights.Notices(checkpoint, quantization),
        };
    }

    private static string Shape(Tensor tensor) => string.Join(',', tensor.shape);

    private static void RequireIds(Tensor ids, string name)
    {
        if (ids.dim() != 2 || ids.shape[1] == 0)
            throw new ArgumentException($"{name} is [{Shape(ids)}]: expected [rows, tokens], at least one token.", name);
        if (ids.dtype is not (ScalarType.Int64 or ScalarType.Int32))
            throw new ArgumentException($"{name} is {ids.dtype}: expected token ids as int64.", name);
    }

    private static void RequirePerRow(Tensor? values, long rows, string name)
    {
        if (values is not null && !values.shape.SequenceEqual([rows]))
            throw new ArgumentException($"{name} is [{Shape(values)}], expected [{rows}].", name);
    }
}
