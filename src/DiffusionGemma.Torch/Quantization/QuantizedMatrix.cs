using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A matrix [rows, columns] in a form of fewer bits: what is stored, over memory of this object's own or of a mapped file. The value of an
/// element is (q - zero) · scale, computed in float32.
/// </summary>
internal sealed class QuantizedMatrix : IDisposable
{
    /// <param name="elements">The form of the elements.</param>
    /// <param name="codes">[rows, n]: the elements, packed without gaps within a row.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="scaleFormat">The form of the scales.</param>
    /// <param name="scales">[rows, groups]; null: none.</param>
    public QuantizedMatrix(ElementFormat elements, Tensor codes, long columns, ScaleFormat scaleFormat, Tensor? scales)
    {
        (Elements, Codes, Columns, ScaleFormat, Scales) = (elements, codes, columns, scaleFormat, scales);
        Rows = codes.shape[0];
        Groups = scales?.shape[1] ?? 1;
    }

    public ElementFormat Elements { get; }

    public long Rows { get; }

    public long Columns { get; }

    /// <summary>Scales of a row.</summary>
    public long Groups { get; }

    /// <summary>Elements that share a scale.</summary>
    public long GroupSize => Columns / Groups;

    public ScaleFormat ScaleFormat { get; }

    public Tensor Codes { get; }

    public Tensor? Scales { get; }

    /// <summary>int32 [rows · bits / 32, groups], packed along the rows; null: none.</summary>
    public Tensor? ZeroPoints { get; init; }

    /// <summary>A second scale, of the whole matrix.</summary>
    public float GlobalScale { get; init; } = 1;

    /// <summary>True where <see cref="GlobalScale"/> divides the scales and does not multiply them.</summary>
    public bool GlobalDivides { get; init; }

    public Device Device => Codes.device;

    /// <summary>Bytes of everything stored.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.numel() * tensor.ElementSize);

    private IEnumerable<Tensor> Tensors => new[] { Codes, Scales, ZeroPoints }.OfType<Tensor>();

    /// <summary>Returns the matrix as kernels read it. Valid while this object lives; on the CPU only.</summary>
    public unsafe QuantizedRows View() => new()
    {
        Elements = Elements,
        Rows = Rows,
        Codes = (byte*)NativeTensors.Data(Codes),
        Stride = Codes.shape[1] * Codes.ElementSize,
        ScaleFormat = ScaleFormat,
        Scales = Scales is null ? null : (byte*)NativeTensors.Data(Scales),
        GroupSize = GroupSize,
        Groups = Groups,
        ZeroPoints = ZeroPoints is null ? null : (byte*)NativeTensors.Data(ZeroPoints),
        GlobalScale = GlobalScale,
        GlobalDivides = GlobalDivides,
    };

    /// <summary>A matrix of the same numbers: each stored tensor passed through a function, for this object's caller to own.</summary>
    public QuantizedMatrix Map(Func<Tensor, Tensor> map) =>
        new(Elements, map(Codes), Columns, ScaleFormat, Scales is null ? null : map(Scales))
        {
            ZeroPoints = ZeroPoints is null ? null : map(ZeroPoints), GlobalScale = GlobalScale, GlobalDivides = GlobalDivides,
        };

    /// <summary>
    /// Copies the rows of several matrices into one, for the current scope to own; null where they differ in form, in columns or in the
    /// second scale, or have zero points.
    /// </summary>
    /// <param name="matrices">At least one.</param>
    public static QuantizedMatrix? TryJoin(IReadOnlyList<QuantizedMatrix> matrices)
    {
        QuantizedMatrix first = matrices[0];
        bool IsAlike(QuantizedMatrix m) => m.ZeroPoints is null
            && (m.Elements, m.Columns, m.ScaleFormat, m.Groups) == (first.Elements, first.Columns, first.ScaleFormat, first.Groups)
            && (m.GlobalScale, m.GlobalDivides, m.Scales is null) == (first.GlobalScale, first.GlobalDivides, first.Scales is null)
            && m.Rows == first.Rows;
        if (!matrices.All(IsAlike)) return null;
        Tensor? scales = first.Scales is null ? null : cat([.. matrices.Select(m => m.Scales!)], 0);
        return new QuantizedMatrix(first.Elements, cat([.. matrices.Select(m => m.Codes)], 0), first.Columns, first.ScaleFormat, scales)
        {
            GlobalScale = first.GlobalScale, GlobalDivides = first.GlobalDivides,
        };
    }

    public void Dispose()
    {
        foreach (Tensor tensor in Tensors) tensor.Dispose();
    }
}
