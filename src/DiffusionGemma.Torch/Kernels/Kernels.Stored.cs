using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Products with weights that are stored in another form than they are computed in. No whole weight is ever widened.</summary>
internal static partial class Kernels
{
    /// <summary>y = x Wᵀ.</summary>
    /// <param name="x">[...,in], in the dtype that is computed in.</param>
    /// <param name="weight">W [out,in].</param>
    /// <returns>[...,out].</returns>
    public static Tensor Linear(Tensor x, StoredWeight weight)
    {
        if (weight.Tensor is { } same && same.dtype == x.dtype) return Linear(x, same);
        using var scope = NewDisposeScope();
        Tensor rows = x.reshape(-1, x.shape[^1]), y = empty(rows.shape[0], weight.Shape[0], dtype: x.dtype, device: x.device);
        LinearInto(rows, weight, y);
        return y.view([.. x.shape[..^1], weight.Shape[0]]).MoveToOuterDisposeScope();
    }

    /// <summary>y = x Wᵀ into memory that is there already.</summary>
    /// <param name="x">[N,in].</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="y">[N,out]; overwritten.</param>
    public static void LinearInto(Tensor x, StoredWeight weight, Tensor y)
    {
        if (weight.Tensor is { } same && same.dtype == x.dtype) LinearInto(x, same, y);
        else StoredLinearInto(x, weight, [x.shape[0]], y);
    }

    /// <summary>a W.</summary>
    /// <param name="a">[N,out].</param>
    /// <param name="weight">W [out,in].</param>
    /// <returns>[N,in].</returns>
    public static Tensor MatMul(Tensor a, StoredWeight weight) =>
        weight.Tensor is { } same && same.dtype == a.dtype ? MatMul(a, same) : StoredMatMul(a, weight, [a.shape[0]]);

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,out].</returns>
    public static Tensor GroupedLinear(Tensor x, StoredWeight weights, long[] counts)
    {
        if (weights.Tensor is { } same && same.dtype == x.dtype) return GroupedLinear(x, same, counts);
        Tensor y = empty(x.shape[0], weights.Shape[1], dtype: x.dtype, device: x.device);
        StoredLinearInto(x, weights, counts, y);
        return y;
    }

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    /// <param name="a">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,in].</returns>
    public static Tensor GroupedMatMul(Tensor a, StoredWeight weights, long[] counts) =>
        weights.Tensor is { } same && same.dtype == a.dtype ? GroupedMatMul(a, same, counts) : StoredMatMul(a, weights, counts);

    /// <summary>The values of a stored matrix [rows,columns], computed in float32 and rounded once.</summary>
    public static Tensor Dequantize(QuantizedMatrix matrix, ScalarType dtype) => StoredProducts.Widen(matrix, 0, matrix.Rows, dtype);

    /// <summary>Rows of a stored weight [out,in], [ids] -> [n,in].</summary>
    public static Tensor SelectRows(StoredWeight weight, Tensor ids, ScalarType dtype) =>
        weight.Tensor is { } tensor ? tensor.index_select(0, ids).to(dtype) : StoredProducts.SelectRows(weight, ids, dtype);

    private static void StoredLinearInto(Tensor x, StoredWeight weight, long[] counts, Tensor y)
    {
        if (IsManaged(x, y) && weight.Device.type == TorchSharp.DeviceType.CPU)
        {
            if (weight.Tensor is { dtype: ScalarType.BFloat16 } narrow && Managed.TryLinear(x, narrow, counts, y)) return;
            if (weight.Tensor is null && Managed.TryStoredLinear(x, weight.Slices, counts, y)) return;
        }
        StoredProducts.LinearInto(x, weight, counts, y);
    }

    private static Tensor StoredMatMul(Tensor a, StoredWeight weight, long[] counts)
    {
        Tensor y = empty(a.shape[0], weight.Shape[^1], dtype: a.dtype, device: a.device);
        if (IsManaged(a, y) && weight.Device.type == TorchSharp.DeviceType.CPU)
        {
            if (weight.Tensor is { dtype: ScalarType.BFloat16 } narrow && Managed.TryMatMul(a, narrow, counts, y)) return y;
            if (weight.Tensor is null && Managed.TryStoredMatMul(a, weight.Slices, counts, y)) return y;
        }
        StoredProducts.MatMulInto(a, weight, counts, y);
        return y;
    }
}
