using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Reads an adapter's matrices from its file, into the caller's scope, and accounts for every tensor of the file.</summary>
internal sealed class PeftReader
{
    private readonly SafetensorsFile _file;
    private readonly string _path;
    private readonly PeftConfig _config;
    private readonly DiffusionGemmaModel _model;
    private readonly HashSet<string> _unread;
    private readonly List<string> _adapted = [];
    private readonly List<string> _notices = [];
    private readonly bool _hasOlderStacks;

    /// <exception cref="AdapterException">The layout of expert stacks cannot be told.</exception>
    public PeftReader(SafetensorsFile file, string path, PeftConfig config, DiffusionGemmaModel model, ExpertStackLayout? layout)
    {
        (_file, _path, _config, _model) = (file, path, config, model);
        _unread = [.. file.Tensors.Keys];
        if (config.UnknownKeys.Count > 0)
            _notices.Add(
                $"{PeftConfig.FileName} beside {path} sets {string.Join(", ", config.UnknownKeys.Select(key => $"'{key}'"))}, which this "
                + "library does not know: it is ignored.");
        _hasOlderStacks = new StackLayoutFinder(file, path, config, model).Find(layout) == ExpertStackLayout.BeforePeft0191;
    }

    /// <summary>Sentences about what has no effect here.</summary>
    public IReadOnlyList<string> Notices => _notices;

    public LoraPair? Pair(Pass pass, Linear linear)
    {
        long[] shape = linear.Weight.Shape;
        string name = PeftFolder.ModuleName(pass, linear.Name);
        int rank = _config.RankOf(name);
        return Matrices(name, name, [rank, shape[1]], [shape[0], rank], rank) is (Tensor a, Tensor b)
            ? new LoraPair(a, b, _config.ScaleOf(name))
            : null;
    }

    public ExpertsLora? Experts(Pass pass, Experts experts)
    {
        string module = PeftFolder.ModuleName(pass, experts.Name);
        (string? gateUp, string? down) = ExpertTargets.Wrappers(_config.TargetParameters, module);
        var lora = new ExpertsLora(
            gateUp is null ? null : Stack(module + gateUp, $"{module}.gate_up_proj", experts.GateUp),
            down is null ? null : Stack(module + down, $"{module}.down_proj", experts.Down));
        return lora is (null, null) ? null : lora;
    }

    /// <summary>
    /// Reads the pairs of the vision part in their own dtype. They have no effect here, which a notice says unless their B is zero.
    /// </summary>
    public IEnumerable<KeyValuePair<string, Tensor>> Vision()
    {
        string[] names = [.. _unread.Where(VisionLora.IsTensor).Order(StringComparer.Ordinal)];
        var effective = new List<string>();
        var kept = new Dictionary<string, Tensor>();
        foreach (string module in names.Select(VisionLora.ModuleOf).Distinct())
        {
            (string a, string b) = (VisionLora.NameOfA(module), VisionLora.NameOfB(module));
            foreach ((string half, int dimension) in new[] { (a, 0), (b, 1) })
            {
                CheckThere(half);
                IReadOnlyList<long> shape = _file.Tensors[half].Shape;
                if (shape.Count <= dimension || shape[dimension] != _config.RankOf(module))
                    throw new AdapterException(
                        $"{_path}: '{half}' is [{string.Join(',', shape)}], which is not of r = {_config.RankOf(module)}.");
                _unread.Remove(half);
                kept[half] = _file.Read(half);
            }
            _adapted.Add(module);
            using Tensor any = kept[b].count_nonzero();
            if (any.item<long>() > 0) effective.Add(module);
        }
        if (effective.Count > 0)
            _notices.Add(
                $"{_path}: the adapter also changes {effective.Count} modules of the vision part, the first is '{effective[0]}'. This "
                + "library runs on text alone: they are kept as they are, and have no effect here.");
        return kept;
    }

    /// <summary>Accounts for the tensors that are left: copies of the base's embedding are accepted, all else is refused.</summary>
    public void RequireAllRead()
    {
        if (_file.Tensors.Count == 0) throw new AdapterException($"{_path} holds no tensors.");
        EmbeddingCopies.Accept(_file, _path, _config, _model, _unread);
        if (_unread.Count > 0) throw PeftRefusals.Of(_path, [.. _unread.Order(StringComparer.Ordinal)]);
        (string, PeftPattern)[] patterns = [("rank_pattern", _config.RankPattern), ("alpha_pattern", _config.AlphaPattern)];
        foreach ((string key, PeftPattern pattern) in patterns)
            foreach (string unmatched in pattern.FindUnmatched(_adapted))
                _notices.Add(
                    $"{PeftConfig.FileName} beside {_path}: '{key}' names '{unmatched}', which matches nothing that the adapter changes: "
                    + "it has no effect, as in PEFT.");
    }

    private ExpertStackLora? Stack(string wrapper, string name, StoredWeight weight)
    {
        long experts = weight.Shape[0];
        int rank = _config.RankOf(name);
        (long outputs, long inputs) = _hasOlderStacks ? (weight.Shape[2], weight.Shape[1]) : (weight.Shape[1], weight.Shape[2]);
        if (Matrices(wrapper, name, [experts * rank, inputs], [outputs, rank * experts], rank) is not (Tensor a, Tensor b)) return null;
        if (_hasOlderStacks) (a, b) = Transpose(a, b, (int)experts, rank);
        return new ExpertStackLora(a, b, (int)experts, _config.ScaleOf(name));
    }

    /// <summary>Turns the older layout, whose deltas are each other's transposes, into the newer: Δᵀ = B A is Δ = Aᵀ Bᵀ.</summary>
    private static (Tensor A, Tensor B) Transpose(Tensor a, Tensor b, int experts, int rank) =>
    (
        b.view(b.shape[0], rank, experts).permute(2, 1, 0).contiguous().view(experts * rank, b.shape[0]),
        a.view(experts, rank, a.shape[1]).permute(2, 1, 0).contiguous().view(a.shape[1], rank * experts)
    );

    // module: the name of the matrices; name: what patterns match, the module or the wrapped parameter.
    private (Tensor A, Tensor B)? Matrices(string module, string name, long[] shapeOfA, long[] shapeOfB, int rank)
    {
        (string a, string b) = (PeftFolder.NameOfA(module), PeftFolder.NameOfB(module));
        if (!_file.Tensors.ContainsKey(a) && !_file.Tensors.ContainsKey(b)) return null;
        Check(a, shapeOfA, rank);
        Check(b, shapeOfB, rank);
        _adapted.Add(name);
        return (Take(a), Take(b));
    }

    private void CheckThere(string name)
    {
        if (!_file.Tensors.TryGetValue(name, out TensorInfo? info))
            throw new AdapterException($"{_path}: '{name}' is missing; its other half is there.");
        if (!SafetensorsDTypes.IsFloating(info.DType))
            throw new AdapterException($"{_path}: '{name}' is {info.DType}, expected floating-point numbers.");
    }

    private void Check(string name, long[] expected, int rank)
    {
        CheckThere(name);
        TensorInfo info = _file.Tensors[name];
        if (!info.Shape.SequenceEqual(expected))
            throw new AdapterException(
                $"{_path}: '{name}' is [{string.Join(',', info.Shape)}], expected [{string.Join(',', expected)}] for this model and r "
                + $"= {rank}.");
    }

    private Tensor Take(string name)
    {
        _unread.Remove(name);
        return _file.Read(name, _model.Device, _model.DType.AtLeastFloat32());
    }
}
