using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One piece of memory, zero at first, that holds a tensor for each of some shapes, one behind the other.</summary>
internal sealed class FlatBuffer : IDisposable
{
    /// <summary>Numbers a row of the buffer seen as a matrix: few enough that a sum of their squares in float32 is exact to its last places.</summary>
    private const long RowElements = 1 << 14;

    private const long Alignment = 16;
    private readonly Tensor _whole;

    public FlatBuffer(IReadOnlyList<long[]> shapes, ScalarType dtype, Device device)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        long[] sizes = [.. shapes.Select(shape => shape.Aggregate(1L, (a, b) => a * b))], starts = new long[sizes.Length + 1];
        for (int n = 0; n < sizes.Length; n++) starts[n + 1] = starts[n] + RoundUp(sizes[n], Alignment);
        _whole = zeros(RoundUp(starts[^1], RowElements), dtype: dtype, device: device).DetachFromDisposeScope();
        Parts = [.. shapes.Select((shape, n) => _whole.narrow(0, starts[n], sizes[n]).view(shape).DetachFromDisposeScope())];
    }

    public ScalarType DType => _whole.dtype;

    /// <summary>The views, in the order of the shapes.</summary>
    public IReadOnlyList<Tensor> Parts { get; }

    public void Zero()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        _whole.zero_();
    }

    public void Multiply(double factor)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        _whole.mul_(factor);
    }

    /// <summary>The 2-norm of all of it, from one look at every number.</summary>
    public double Norm()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        return linalg.vector_norm(_whole.view(-1, RowElements), 2, [1]).to(ScalarType.Float64).norm().item<double>();
    }

    public void Dispose()
    {
        foreach (Tensor part in Parts) part.Dispose();
        _whole.Dispose();
    }

    private static long RoundUp(long value, long multiple) => (value + multiple - 1) / multiple * multiple;
}
