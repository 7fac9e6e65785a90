using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A weight [out,in], or stack of weights [E,out,in], in the form that it is stored in, which products widen to the dtype that they compute
/// in: a tensor, or quantised matrices that lie apart. Only a tensor can be trained, once it is this object's own (<see cref="Own"/>).
/// </summary>
internal sealed class StoredWeight : IDisposable
{
    private StoredWeight(Tensor? tensor, IReadOnlyList<QuantizedMatrix[]> slices, long[] shape) =>
        (Tensor, Slices, Shape) = (tensor, slices, shape);

    /// <summary>The weight as one tensor; null: it is quantised.</summary>
    public Tensor? Tensor { get; private set; }

    /// <summary>True where the tensor lies in a mapped file, or is another model's: it must not be written to.</summary>
    public bool IsLent { get; private set; }

    /// <summary>[E], or one: the quantised matrices whose rows are the slice's, in order. Empty where there is a tensor.</summary>
    public IReadOnlyList<QuantizedMatrix[]> Slices { get; }

    /// <summary>[out,in], or [E,out,in].</summary>
    public long[] Shape { get; }

    /// <summary>True where it trains.</summary>
    public bool RequiresGradient => Tensor is { requires_grad: true };

    public Device Device => Tensor?.device ?? Slices[0][0].Device;

    /// <summary>Bytes of everything stored.</summary>
    public long Bytes => Tensor is null ? Slices.Sum(slice => slice.Sum(matrix => matrix.Bytes)) : Tensor.numel() * Tensor.ElementSize;

    /// <summary>A quantised weight [out,in] of matrices with its rows in order.</summary>
    public static StoredWeight Quantized(params QuantizedMatrix[] parts) => new(null, [parts], [parts.Sum(p => p.Rows), parts[0].Columns]);

    /// <summary>A quantised stack [E,out,in], a slice an expert.</summary>
    public static StoredWeight QuantizedStack(IReadOnlyList<QuantizedMatrix[]> slices) =>
        new(null, slices, [slices.Count, slices[0].Sum(part => part.Rows), slices[0][0].Columns]);

    /// <summary>A weight over the memory of a mapped file or of another model, which must outlive it.</summary>
    public static StoredWeight Lent(Tensor tensor) => new(tensor, [], tensor.shape) { IsLent = true };

    public static implicit operator StoredWeight(Tensor tensor) => new(tensor, [], tensor.shape);

    /// <summary>A weight of the same numbers: each stored tensor passed through a function, for the caller to own.</summary>
    /// <param name="map">Returns a tensor that is owned by no scope.</param>
    /// <param name="first">The first slice of a part of a stack.</param>
    /// <param name="count">The number of slices of the part.</param>
    public StoredWeight MapSlices(Func<Tensor, Tensor> map, int first, int count)
    {
        QuantizedMatrix[][] slices = [.. Slices.Skip(first).Take(count).Select(s => s.Select(m => m.Map(map)).ToArray())];
        return new StoredWeight(null, slices, Shape.Length == 3 ? [count, .. Shape[1..]] : Shape);
    }

    /// <summary>
    /// Makes the tensor one that may be written to, in a dtype: a lent or narrower one is copied. A quantised weight stays as it is.
    /// </summary>
    /// <returns>True where it was copied.</returns>
    public bool Own(ScalarType dtype)
    {
        if (Tensor is not { } former || (!IsLent && former.dtype == dtype)) return false;
        using IDisposable quiet = no_grad();
        Tensor = former.to(dtype, copy: true).DetachFromDisposeScope();
        IsLent = false;
        former.Dispose();
        return true;
    }

    public void Dispose()
    {
        Tensor?.Dispose();
        foreach (QuantizedMatrix matrix in Slices.SelectMany(slice => slice)) matrix.Dispose();
    }
}
