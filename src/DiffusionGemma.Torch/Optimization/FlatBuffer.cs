using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One tensor, zero at first, with a view for each of some shapes, one after the other; its length is a multiple of a number of equal
/// shares.
/// </summary>
internal sealed class FlatBuffer : IDisposable
{
    /// <summary>Elements in a row when the buffer is viewed as a matrix: few enough for an accurate sum of squares in float32.</summary>
    private const long RowElements = 1 << 14;

    private const long Alignment = 16;
    private readonly long[] _starts;
    private readonly IReadOnlyList<long[]> _shapes;

    public FlatBuffer(IReadOnlyList<long[]> shapes, ScalarType dtype, Device device, int shares = 1)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        _shapes = shapes;
        _starts = new long[shapes.Count + 1];
        for (int n = 0; n < shapes.Count; n++) _starts[n + 1] = _starts[n] + RoundUp(Count(n), Alignment);
        Whole = zeros(Length(shapes.Select((_, n) => Count(n)), shares), dtype: dtype, device: device).DetachFromDisposeScope();
        Parts = [.. PartsOf(Whole).Select(part => part.DetachFromDisposeScope())];
        Share = Whole.shape[0] / shares;
    }

    public ScalarType DType => Whole.dtype;

    /// <summary>The whole buffer, one-dimensional.</summary>
    public Tensor Whole { get; }

    /// <summary>The views, in the order of the shapes.</summary>
    public IReadOnlyList<Tensor> Parts { get; }

    /// <summary>The number of elements in a share.</summary>
    public long Share { get; }

    /// <summary>Computes the length of a buffer for tensors of these numbers of elements.</summary>
    public static long Length(IEnumerable<long> counts, int shares) =>
        RoundUp(counts.Sum(count => RoundUp(count, Alignment)), RowElements * shares);

    /// <summary>Returns the views of another buffer of the same layout.</summary>
    public IEnumerable<Tensor> PartsOf(Tensor whole) => _shapes.Select((shape, n) => whole.narrow(0, _starts[n], Count(n)).view(shape));

    /// <summary>Finds the elements of the n-th tensor that lie in a share: index of the first, count, and offset in the share.</summary>
    public (long First, long Count, long At) Overlap(int n, int share)
    {
        long from = Math.Max(_starts[n], share * Share), to = Math.Min(_starts[n] + Count(n), (share + 1) * Share);
        return to <= from ? (0, 0, 0) : (from - _starts[n], to - from, from - share * Share);
    }

    public void Zero()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Whole.zero_();
    }

    /// <summary>Computes the sum of squares of a share, a float64 scalar on its device, going over it once.</summary>
    public Tensor SquaredNorm(int share)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor rows = Whole.narrow(0, share * Share, Share).view(-1, RowElements);
        return linalg.vector_norm(rows, 2, [1]).to(ScalarType.Float64).square().sum().MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (Tensor part in Parts) part.Dispose();
        Whole.Dispose();
    }

    private long Count(int n) => _shapes[n].Aggregate(1L, (a, b) => a * b);

    private static long RoundUp(long value, long multiple) => (value + multiple - 1) / multiple * multiple;
}
