using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Products with the weights of a model in the form that they are stored in. No whole weight is widened.</summary>
internal static partial class Kernels
{
    /// <summary>y = x Wᵀ.</summary>
    /// <param name="x">[...,in], in the dtype that is computed in.</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[...,out].</returns>
    public static Tensor Linear(Tensor x, StoredWeight weight, bool batchInvariant = false)
    {
        if (weight.Tensor is { } same && same.dtype == x.dtype) return Linear(x, same, batchInvariant);
        if (weight.Device.type == DeviceType.CPU) return Linear(x, RowsOf(weight), weight.Shape[0]);
        using var scope = NewDisposeScope();
        Tensor rows = x.reshape(-1, x.shape[^1]);
        Tensor y = empty([.. x.shape[..^1], weight.Shape[0]], dtype: x.dtype, device: x.device);
        DeviceProducts.LinearInto(rows, weight, [rows.shape[0]], y.view(-1, weight.Shape[0]));
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>y = x Wᵀ into memory that is there already.</summary>
    /// <param name="x">[N,in].</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="y">[N,out]; overwritten.</param>
    public static void LinearInto(Tensor x, StoredWeight weight, Tensor y)
    {
        if (weight.Tensor is { } same && same.dtype == x.dtype)
        {
            LinearInto(x, same, y);
            return;
        }
        if (weight.Device.type == DeviceType.CPU && IsManaged(x, y)
            && Managed.TryLinear(x, RowsOf(weight), weight.Shape[0], [x.shape[0]], y)) return;
        using Tensor product = Linear(x, weight);
        y.copy_(product);
    }

    /// <summary>a W.</summary>
    /// <param name="a">[N,out].</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[N,in].</returns>
    public static Tensor MatMul(Tensor a, StoredWeight weight, bool batchInvariant = false)
    {
        if (weight.Tensor is { } same && same.dtype == a.dtype) return MatMul(a, same, batchInvariant);
        return weight.Device.type == DeviceType.CPU ? MatMul(a, RowsOf(weight)) : DeviceProducts.MatMul(a, weight, [a.shape[0]]);
    }

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[N,out].</returns>
    public static Tensor GroupedLinear(Tensor x, StoredWeight weights, long[] counts, bool batchInvariant = false)
    {
        if (weights.Tensor is { } same && same.dtype == x.dtype) return GroupedLinear(x, same, counts, batchInvariant);
        if (weights.Device.type == DeviceType.CPU) return GroupedLinear(x, RowsOf(weights), weights.Shape[1], counts);
        Tensor y = empty(x.shape[0], weights.Shape[1], dtype: x.dtype, device: x.device);
        DeviceProducts.LinearInto(x, weights, counts, y);
        return y;
    }

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    /// <param name="a">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,in].</returns>
    public static Tensor GroupedMatMul(Tensor a, StoredWeight weights, long[] counts)
    {
        if (weights.Tensor is { } same && same.dtype == a.dtype) return GroupedMatMul(a, same, counts);
        return weights.Device.type == DeviceType.CPU
            ? GroupedMatMul(a, RowsOf(weights), counts) : DeviceProducts.MatMul(a, weights, counts);
    }

    /// <summary>Computes the values of a stored matrix [rows,columns] in float32 and rounds them once.</summary>
    public static unsafe Tensor Dequantize(QuantizedMatrix matrix, ScalarType dtype)
    {
        if (matrix.Device.type != DeviceType.CPU) return DeviceProducts.Widen(matrix, dtype);
        using var scope = NewDisposeScope();
        Tensor values = empty(matrix.Rows, matrix.Columns, dtype: ScalarType.Float32, device: CPU);
        WideningRows.Run(matrix.View(), 0, matrix.Rows, 0, matrix.Columns, (float*)NativeTensors.Data(values));
        GC.KeepAlive(matrix);
        return values.to(dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Looks up rows of a stored weight [out,in].</summary>
    /// <param name="weight">A tensor, or one quantised matrix without zero points.</param>
    /// <param name="ids">[n] int64.</param>
    /// <param name="dtype">The dtype of the result.</param>
    /// <returns>[n,in].</returns>
    public static Tensor SelectRows(StoredWeight weight, Tensor ids, ScalarType dtype)
    {
        if (weight.Tensor is { } tensor) return TorchOperators.SelectRows(tensor, ids).to(dtype);
        if (weight.Slices is not [[{ ZeroPoints: null } matrix]])
            throw new NotSupportedException("Rows are looked up in one matrix without zero points.");
        using QuantizedMatrix chosen = matrix.Map(stored => TorchOperators.SelectRows(stored, ids));
        return Dequantize(chosen, dtype);
    }

    private static IStoredRows RowsOf(StoredWeight weight) =>
        weight.Tensor is { } tensor ? new BFloat16Rows(tensor.contiguous()) : new QuantizedWeightRows(weight);
}
