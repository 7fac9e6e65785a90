using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>A matrix in memory, float32 or bfloat16, which products read as float32 a part at a time.</summary>
internal readonly unsafe struct Weights
{
    private readonly float* _wide;
    private readonly ushort* _narrow;
    private readonly VectorKernels? _kernels;

    public Weights(float* wide) => _wide = wide;

    /// <param name="narrow">bfloat16 numbers.</param>
    /// <param name="kernels">Widen them.</param>
    public Weights(ushort* narrow, VectorKernels kernels)
    {
        _narrow = narrow;
        _kernels = kernels;
    }

    public bool AreNarrow => _narrow != null;

    /// <summary>The same from the number at <paramref name="offset"/> on.</summary>
    public Weights From(long offset) => AreNarrow ? new Weights(_narrow + offset, _kernels!) : new Weights(_wide + offset);

    /// <summary>Some rows' numbers in float32: where they lie, or widened.</summary>
    /// <param name="offset">Of the first.</param>
    /// <param name="stride">Between rows.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="count">Numbers of each.</param>
    /// <param name="scratch">Room for rows · count numbers.</param>
    /// <param name="apart">Between rows of what is returned.</param>
    public float* Part(long offset, long stride, long rows, nint count, float* scratch, out nint apart)
    {
        if (!AreNarrow)
        {
            apart = (nint)stride;
            return _wide + offset;
        }
        apart = count;
        for (long row = 0; row < rows; row++) _kernels!.Widen(_narrow + offset + row * stride, scratch + row * count, count);
        return scratch;
    }

    /// <summary>Two registers' numbers from <paramref name="offset"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public (L Left, L Right) Pair<L>(long offset)
        where L : struct, ILanes<L> =>
        AreNarrow
            ? (L.LoadBFloat16(_narrow + offset), L.LoadBFloat16(_narrow + offset + L.Count))
            : (L.Load(_wide + offset), L.Load(_wide + offset + L.Count));

    /// <summary>The float32 number at <paramref name="offset"/>.</summary>
    public float* Address(long offset) => _wide + offset;
}
