using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Finds the quantised weights of a checkpoint by the tensors that are there, and checks that these fit each other, config.json and the
/// model. Reads no tensor.
/// </summary>
internal sealed class QuantizedLayout
{
    private const string Experts = ".experts.", Weight = ".weight";

    /// <summary>Names of tensors by which other forms are known.</summary>
    private static readonly (string Suffix, string Form)[] Others =
    [
        (".qweight", "AWQ's or GPTQ's own layout"), (".qzeros", "AWQ's or GPTQ's own layout"),
        (".weight.absmax", "bitsandbytes"), (".weight.quant_map", "bitsandbytes"), (".SCB", "bitsandbytes"),
        ("_scale_inv", "FP8 with a scale a block"), ("_g_idx", "columns in the order of activations"),
        (".bitmask", "sparsity"), (".meta", "sparsity"), (".k_scale", "a quantised cache"), (".v_scale", "a quantised cache"),
    ];

    private readonly SafetensorsFile _file;
    private readonly QuantizationSettings? _settings;
    private readonly string _folder;
    private readonly Dictionary<string, WeightLayout> _weights = [];
    private readonly HashSet<string> _tensors = [];

    private QuantizedLayout(string folder, QuantizationSettings? settings, SafetensorsFile file) =>
        (_folder, _settings, _file) = (folder, settings, file);

    /// <summary>The quantised weights, by their names in an unquantised checkpoint.</summary>
    public IReadOnlyDictionary<string, WeightLayout> Weights => _weights;

    /// <summary>Names of all tensors that belong to quantised weights.</summary>
    public IReadOnlySet<string> Tensors => _tensors;

    /// <summary>Finds what of the expected weights is quantised.</summary>
    /// <param name="folder">For errors.</param>
    /// <param name="settings">`quantization_config`; null: the checkpoint has none.</param>
    /// <param name="file">The folder's tensors.</param>
    /// <param name="expected">Name and shape of every weight of the model.</param>
    /// <exception cref="CheckpointException">A form is not supported, or tensors do not fit each other.</exception>
    public static QuantizedLayout Find(
        string folder, QuantizationSettings? settings, SafetensorsFile file, IReadOnlyDictionary<string, long[]> expected)
    {
        var layout = new QuantizedLayout(folder, settings, file);
        foreach (TensorInfo tensor in file.Tensors.Values)
            if (!CheckpointLayout.IsVision(tensor.Name)
                && Others.FirstOrDefault(o => tensor.Name.EndsWith(o.Suffix, StringComparison.Ordinal)) is { Form: { } form })
                throw new CheckpointException(
                    tensor.File, tensor.Name,
                    $"belongs to a form that is not supported: {form}. Forms that are read: {QuantizationSettings.Supported}.");
        foreach ((string name, long[] shape) in expected)
            if (shape.Length == 3) layout.AddStack(name, shape);
            else if (shape.Length == 2 && layout.Matrix(name, name[..^Weight.Length], shape[0], shape[1]) is { } matrix)
                layout.Add(name, shape, [[matrix]]);
        if (settings is null && layout._weights.Count > 0)
            throw new CheckpointException(
                folder, $"holds quantised weights ({layout._weights.Keys.First()}), and config.json has no quantization_config. " +
                "Fetch or copy config.json of the same checkpoint.");
        return layout;
    }

    private void Add(string name, long[] shape, IReadOnlyList<IReadOnlyList<MatrixLayout>> slices)
    {
        _weights[name] = new WeightLayout(shape, slices);
        foreach (MatrixLayout matrix in slices.SelectMany(slice => slice)) _tensors.UnionWith(matrix.Tensors);
    }

    private void AddStack(string name, long[] shape)
    {
        (int experts, long rows, long columns) = ((int)shape[0], shape[1], shape[2]);
        if (Matrix(name, name, rows, columns, experts) is { } whole)
        {
            Add(name, shape, [.. Enumerable.Range(0, experts).Select(e => new[] { whole with { Expert = e } })]);
            return;
        }
        if (_file.Tensors.ContainsKey(name)) return;
        int at = name.IndexOf(Experts, StringComparison.Ordinal) + Experts.Length;
        string prefix = name[..at], stack = name[at..];
        string[] parts = stack == "gate_up_proj" ? ["gate_proj", "up_proj"] : [stack];
        if (!_file.Tensors.Keys.Any(key => key.StartsWith($"{prefix}0.", StringComparison.Ordinal))) return;
        Add(name, shape, [.. Enumerable.Range(0, experts).Select(e => parts.Select(part =>
        {
            string module = $"{prefix}{e}.{part}";
            return Matrix(module + Weight, module, rows / parts.Length, columns) ?? Plain(module + Weight, rows / parts.Length, columns);
        }).ToArray())]);
    }

    /// <summary>An expert's matrix that is not quantised, in a checkpoint with split experts.</summary>
    private MatrixLayout Plain(string name, long rows, long columns)
    {
        if (!_file.Tensors.TryGetValue(name, out TensorInfo? info)) throw new CheckpointException(_folder, name, "is not there.");
        if (info.DType != ScalarType.BFloat16) throw Bad(info, "stands among split experts unquantised; there it must be BF16");
        RequireShape(info, rows, columns);
        return new MatrixLayout(name[..^Weight.Length], ElementFormat.BFloat16, columns, name) { Tensors = [name] };
    }

    /// <summary>Returns how a matrix is quantised; null: it is not.</summary>
    /// <param name="name">Its tensor's name where it is not quantised.</param>
    /// <param name="module">The name that config.json knows it by.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <param name="experts">The number of matrices that lie together in one tensor; null: it lies alone.</param>
    private MatrixLayout? Matrix(string name, string module, long rows, long columns, int? experts = null)
    {
        TensorInfo? packed = Info(name + "_packed"), codes = packed ?? Info(name), scales = Info(name + "_scale");
        if (codes is null)
            return scales is null
                ? null : throw Bad(scales, $"is a scale whose weight is missing: neither {name}_packed nor {name} is there");
        if (packed is null && SafetensorsDTypes.IsFloating(codes.DType)) return null;
        if (packed is not null && Info(name) is { } plain) throw Bad(plain, $"stands beside {packed.Name}: only one of them can be meant");
        if (scales is null) throw Bad(codes, $"is quantised and its scale is missing: {name}_scale is not there");

        TensorInfo? first = Info(name + "_global_scale"), second = Info(name + "_scale_2");
        ElementFormat elements = FormOf(packed is not null, codes, scales, columns, second is not null);
        int bits = QuantizedRows.BitsOf(elements);
        long unit = codes.DType == ScalarType.Int32 ? 32 : 8, wanted = (columns * bits + unit - 1) / unit;
        if (unit == 8 && columns * bits % 8 > 0) throw Bad(codes, $"packs {columns} numbers of a row, an odd count, into bytes");
        RequireShape(codes, rows, wanted, experts);
        long groups = scales.Shape.Count > 0 ? scales.Shape[^1] : 0;
        if (groups == 0 || columns % groups != 0)
            throw Bad(scales, $"has {groups} scales for the {columns} numbers of a row: a group size must divide the row");
        RequireShape(scales, rows, groups, experts);
        ScaleFormat scaleFormat = ScaleFormatOf(elements, scales);
        CheckGroups(elements, scaleFormat, scales, groups, columns);

        TensorInfo? zeros = Info(name + "_zero_point");
        if (zeros is not null)
        {
            if (elements is not (ElementFormat.OffsetInt4 or ElementFormat.OffsetInt8) || zeros.DType != ScalarType.Int32)
                throw Bad(zeros, "is a zero point of a form that has none; zero points are read packed into int32, of pack-quantized");
            RequireShape(zeros, (rows * bits + 31) / 32, groups, experts);
        }
        bool hasSecond = elements == ElementFormat.Float4 && scaleFormat == ScaleFormat.Float8;
        if (!hasSecond && (first ?? second) is { } unknown) throw Bad(unknown, "is a second scale of a form that has one scale");
        if (first is not null && second is not null) throw Bad(second, $"stands beside {first.Name}: only one of them can be meant");
        if (hasSecond && first is null && second is null)
            throw Bad(codes, $"has no second scale: neither {name}_global_scale nor {name}_scale_2 is there");
        foreach (TensorInfo global in new[] { first, second }.OfType<TensorInfo>())
            if (global.DType != ScalarType.Float32 || (global.NumberOfElements != 1 && global.NumberOfElements != experts))
                throw Bad(global, "is not one F32 number a matrix");
        CheckSettings(module, elements, scaleFormat, codes, groups == 1 ? columns : columns / groups, zeros is not null);

        string[] besides =
        [
            name + "_shape", module + ".input_scale", module + ".input_global_scale",
            module + "_input_scale", module + "_input_global_scale",
        ];
        return new MatrixLayout(module, elements, columns, codes.Name)
        {
            ScaleFormat = scaleFormat, Scales = scales.Name, ZeroPoints = zeros?.Name,
            GlobalScale = (first ?? second)?.Name, GlobalDivides = first is not null,
            Tensors =
            [
                .. new[] { codes, scales, zeros, first, second }.OfType<TensorInfo>().Select(tensor => tensor.Name),
                .. besides.Where(_file.Tensors.ContainsKey),
            ],
        };
    }

    private static ElementFormat FormOf(bool isPacked, TensorInfo codes, TensorInfo scales, long columns, bool hasSecondScale) =>
        (isPacked, codes.Format) switch
        {
            (true, "I32") when codes.Shape.Count > 0 => codes.Shape[^1] == (columns * 4 + 31) / 32 ? ElementFormat.OffsetInt4
                : codes.Shape[^1] == (columns * 8 + 31) / 32 ? ElementFormat.OffsetInt8
                : throw Bad(codes, $"packs {columns} numbers of a row into {codes.Shape[^1]} words, which is neither 4 nor 8 bits each"),
            (true, "U8") => ElementFormat.Float4,
            (false, "U8") when hasSecondScale => ElementFormat.Float4,
            (false, "I8") => ElementFormat.Int8,
            (false, SafetensorsDTypes.Float8E4M3) => ElementFormat.Float8,
            _ => throw Bad(codes, $"is {codes.Format}, with the scale {scales}, in no form that is supported"),
        };

    private static ScaleFormat ScaleFormatOf(ElementFormat elements, TensorInfo scales) => (elements, scales.Format) switch
    {
        (ElementFormat.Float4, SafetensorsDTypes.Float8E4M3) => ScaleFormat.Float8,
        (ElementFormat.Float4, "U8" or SafetensorsDTypes.Float8E8M0) => ScaleFormat.PowerOfTwo,
        (not ElementFormat.Float4, "BF16") => ScaleFormat.BFloat16,
        (not ElementFormat.Float4, "F16") => ScaleFormat.Float16,
        (not ElementFormat.Float4, "F32") => ScaleFormat.Float32,
        _ => throw Bad(scales, $"is a scale of {scales.Format}, which {elements} elements do not have in a form that is supported"),
    };

    private static void CheckGroups(ElementFormat elements, ScaleFormat format, TensorInfo scales, long groups, long columns)
    {
        if (elements is ElementFormat.Int8 or ElementFormat.Float8 && groups != 1)
            throw Bad(scales, $"has {groups} scales a row; int-quantized and float-quantized weights have one");
        int size = format == ScaleFormat.Float8 ? 16 : 32;
        if (elements == ElementFormat.Float4 && columns != groups * size)
            throw Bad(scales, $"has {groups} scales for {columns} numbers: in this form a scale belongs to {size}");
        if (columns / groups % 2 > 0 && QuantizedRows.BitsOf(elements) == 4)
            throw Bad(scales, $"has groups of {columns / groups}, an odd count of 4-bit numbers");
    }

    /// <summary>Compares with config.json, where that knows the module; which modules are quantised, the tensors decide.</summary>
    private void CheckSettings(string module, ElementFormat elements, ScaleFormat scales, TensorInfo codes, long size, bool hasZeroPoints)
    {
        if (_settings?.GroupOf(module) is not { } group) return;
        string format = elements switch
        {
            ElementFormat.Int8 => "int-quantized",
            ElementFormat.Float8 => "float-quantized",
            ElementFormat.Float4 => scales == ScaleFormat.Float8 ? "nvfp4-pack-quantized" : "mxfp4-pack-quantized",
            _ => "pack-quantized",
        };
        int bits = QuantizedRows.BitsOf(elements);
        if (format != group.Format || bits != group.Bits)
            throw Bad(codes, $"is {format} of {bits} bits, and config.json says {group.Format} of {group.Bits}");
        if (group.GroupSize is int configured && configured != size)
            throw Bad(codes, $"has a scale for {size} numbers, and config.json says groups of {configured}");
        if (!group.Symmetric && !hasZeroPoints) throw Bad(codes, "is not symmetric by config.json, and its zero points are missing");
        if (group.Symmetric && hasZeroPoints) throw Bad(codes, "is symmetric by config.json, and has zero points");
    }

    private TensorInfo? Info(string name) => _file.Tensors.GetValueOrDefault(name);

    private static void RequireShape(TensorInfo info, long rows, long columns, int? experts = null)
    {
        long[] wanted = experts is int count ? [count, rows, columns] : [rows, columns];
        if (!info.Shape.SequenceEqual(wanted))
            throw Bad(info, $"has another shape than config.json and its scale ask for: [{string.Join(", ", wanted)}]");
    }

    private static CheckpointException Bad(TensorInfo tensor, string problem) => new(
        tensor.File, tensor.ToString(),
        $"{problem}. Fetch or copy the checkpoint again; forms that are read: {QuantizationSettings.Supported}.");
}
