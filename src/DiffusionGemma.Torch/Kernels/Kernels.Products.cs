using static TorchSharp.torch;

namespace DiffusionGemma;

internal static partial class Kernels
{
    /// <summary>So few columns of an outer product (those of a low rank) are better computed as its rows.</summary>
    private const long NarrowColumns = 64;

    /// <summary>y = x Wᵀ.</summary>
    /// <param name="x">[...,in].</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[...,out].</returns>
    public static Tensor Linear(Tensor x, Tensor weight, bool batchInvariant = false)
    {
        if (IsWidened(weight)) return Linear(x, StoredRowsOf(weight), weight.shape[0]);
        if (!IsManaged(x, weight) || !batchInvariant && !x.is_contiguous()) return nn.functional.linear(x, weight);
        long rows = x.numel() / weight.shape[1];
        Tensor y = empty([.. x.shape[..^1], weight.shape[0]], dtype: x.dtype, device: x.device);
        if ((batchInvariant || rows <= Table.Linear) && Managed.TryLinear(x, weight, [rows], y)) return y;
        if (batchInvariant)
        {
            Managed.PaddedLinear(x, weight, [rows], y);
            return y;
        }
        using Tensor matrix = x.view(rows, weight.shape[1]), across = weight.t(), to = y.view(rows, weight.shape[0]);
        LibTorchProduct.Run(matrix, across, to, adds: false);
        return y;
    }

    /// <summary>y = x Wᵀ into memory that is there already; a row's result does not depend on the number of rows beside it.</summary>
    /// <param name="x">[N,in].</param>
    /// <param name="weight">W [out,in].</param>
    /// <param name="y">[N,out]; overwritten.</param>
    public static void LinearInto(Tensor x, Tensor weight, Tensor y)
    {
        if (IsWidened(weight))
        {
            using Tensor product = Linear(x, weight);
            y.copy_(product);
            return;
        }
        if (!IsManaged(x, weight, y)) LibTorchKernels.LinearInto(x, weight, y);
        else if (!Managed.TryLinear(x, weight, [x.shape[0]], y)) Managed.PaddedLinear(x, weight, [x.shape[0]], y);
    }

    /// <summary>a b.</summary>
    /// <param name="a">[N,K].</param>
    /// <param name="b">[K,M].</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[N,M].</returns>
    public static Tensor MatMul(Tensor a, Tensor b, bool batchInvariant = false)
    {
        if (IsWidened(b)) return MatMul(a, StoredRowsOf(b));
        Tensor y = empty(a.shape[0], b.shape[1], dtype: a.dtype, device: a.device);
        if (!IsManaged(a, b)) TorchOperators.MatrixProductInto(a, b, y);
        else if ((batchInvariant || a.shape[0] <= Table.MatMul) && Managed.TryMatMul(a, b, [a.shape[0]], y)) return y;
        else if (batchInvariant) Managed.PaddedAddMatMul(a, b, [a.shape[0]], y.zero_());
        else LibTorchProduct.Run(a, b, y, adds: false);
        return y;
    }

    /// <summary>y += a b.</summary>
    /// <param name="y">[N,M].</param>
    /// <param name="a">[N,K].</param>
    /// <param name="b">[K,M].</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    public static void AddMatMul(Tensor y, Tensor a, Tensor b, bool batchInvariant = false)
    {
        if (IsWidened(b))
        {
            using Tensor product = MatMul(a.to(ScalarType.Float32), b);
            y.add_(product);
        }
        else if (!IsManaged(y, a, b)) y.addmm_(a, b, beta: 1, alpha: 1);
        else if ((batchInvariant || a.shape[0] <= Table.MatMul) && Managed.TryAddMatMul(a, b, [a.shape[0]], y)) return;
        else if (batchInvariant) Managed.PaddedAddMatMul(a, b, [a.shape[0]], y);
        else LibTorchProduct.Run(a, b, y, adds: true);
    }

    /// <summary>buffer += dyᵀ x, the gradient of W in y = x Wᵀ, without a copy of the buffer's size.</summary>
    /// <param name="buffer">[out,in], in the dtype of <paramref name="dy"/> or a wider one.</param>
    /// <param name="dy">[N,out].</param>
    /// <param name="x">[N,in].</param>
    public static void AddOuter(Tensor buffer, Tensor dy, Tensor x)
    {
        if (IsWidened(x) && buffer.dtype == ScalarType.Float32)
        {
            using Tensor wideDy = dy.to(ScalarType.Float32), wideX = x.to(ScalarType.Float32);
            AddOuter(buffer, wideDy, wideX);
        }
        else if (!IsManaged(buffer, dy, x)) LibTorchKernels.AddOuter(buffer, dy, x);
        else if (dy.shape[0] > Table.AddOuter || !Managed.TryAddOuter(dy, x, buffer) && !TryAddNarrowOuter(buffer, dy, x))
        {
            using Tensor across = dy.t();
            LibTorchProduct.Run(across, x, buffer, adds: true);
        }
    }

    /// <summary>buffer += dyᵀ x by way of xᵀ dy, where the columns of x are too few for a tile; false where nothing was done.</summary>
    private static bool TryAddNarrowOuter(Tensor buffer, Tensor dy, Tensor x)
    {
        if (x.shape[1] > NarrowColumns) return false;
        using Tensor narrow = zeros(x.shape[1], dy.shape[1], dtype: buffer.dtype, device: CPU), across = narrow.t();
        if (!Managed!.TryAddOuter(x, dy, narrow)) return false;
        buffer.add_(across);
        return true;
    }

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    /// <returns>[N,out].</returns>
    public static Tensor GroupedLinear(Tensor x, Tensor weights, long[] counts, bool batchInvariant = false)
    {
        if (IsWidened(weights)) return GroupedLinear(x, StoredRowsOf(weights), weights.shape[1], counts);
        Tensor y = empty(x.shape[0], weights.shape[1], dtype: x.dtype, device: x.device);
        if (!IsManaged(x, weights)) LibTorchKernels.GroupedLinearInto(x, weights, counts, y);
        else if ((batchInvariant || AverageRows(counts) <= Table.GroupedLinear) && Managed.TryLinear(x, weights, counts, y)) return y;
        else if (batchInvariant) Managed.PaddedLinear(x, weights, counts, y);
        else
        {
            using Tensor across = weights.transpose(1, 2);
            RunGrouped(x, across, counts, y, adds: false);
        }
        return y;
    }

    /// <summary>y = a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">B [E,K,M].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <returns>[N,M].</returns>
    public static Tensor GroupedMatMul(Tensor a, Tensor b, long[] counts)
    {
        if (IsWidened(b)) return GroupedMatMul(a, StoredRowsOf(b), counts);
        Tensor y = empty(a.shape[0], b.shape[2], dtype: a.dtype, device: a.device);
        if (!IsManaged(a, b)) LibTorchKernels.GroupedMatMulInto(a, b, counts, y);
        else if (AverageRows(counts) > Table.GroupedMatMul || !Managed.TryMatMul(a, b, counts, y)) RunGrouped(a, b, counts, y, adds: false);
        return y;
    }

    /// <summary>y += a B_e for each expert's rows of a.</summary>
    /// <param name="y">[N,M].</param>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">B [E,K,M].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it.</param>
    public static void GroupedAddMatMul(Tensor y, Tensor a, Tensor b, long[] counts, bool batchInvariant = false)
    {
        if (IsWidened(b))
        {
            using Tensor product = GroupedMatMul(a.to(ScalarType.Float32), b, counts);
            y.add_(product);
        }
        else if (!IsManaged(y, a, b)) LibTorchKernels.GroupedAddMatMul(y, a, b, counts);
        else if ((batchInvariant || AverageRows(counts) <= Table.GroupedMatMul) && Managed.TryAddMatMul(a, b, counts, y)) return;
        else if (batchInvariant) Managed.PaddedAddMatMul(a, b, counts, y);
        else RunGrouped(a, b, counts, y, adds: true);
    }

    /// <summary>buffers[e] += dyᵀ x over each expert's rows.</summary>
    /// <param name="buffers">[E,out,in], in the dtype of <paramref name="dy"/> or a wider one.</param>
    /// <param name="dy">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="x">[N,in], in the same order.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    public static void GroupedAddOuter(Tensor buffers, Tensor dy, Tensor x, long[] counts)
    {
        using var scope = NewDisposeScope();
        if (IsWidened(x) && buffers.dtype == ScalarType.Float32) (dy, x) = (dy.to(ScalarType.Float32), x.to(ScalarType.Float32));
        Tensor[] rows = dy.split(counts, 0), inputs = x.split(counts, 0), parts = buffers.unbind(0);
        if (IsManaged(buffers, dy, x) && AverageRows(counts) > Table.AddOuter)
        {
            LibTorchProduct.RunGrouped(Array.ConvertAll(rows, r => r.t()), inputs, parts, adds: true);
            return;
        }
        for (int e = 0; e < counts.Length; e++)
            if (counts[e] > 0) AddOuter(parts[e], rows[e], inputs[e]);
    }

    /// <summary>
    /// Returns the number of rows that A of a low rank lacks to a number that products take without a copy; 0 where libtorch computes them.
    /// </summary>
    /// <param name="a">A matrix of the delta.</param>
    /// <param name="rank">The delta's rank.</param>
    public static long MissingRank(Tensor a, long rank) =>
        Managed is { } kernels && (IsManaged(a) || IsWidened(a)) ? kernels.MissingOutputs(rank) : 0;

    /// <summary>libtorch's product of each expert's rows.</summary>
    private static void RunGrouped(Tensor a, Tensor b, long[] counts, Tensor y, bool adds)
    {
        using var scope = NewDisposeScope();
        LibTorchProduct.RunGrouped(a.split(counts, 0), b.unbind(0), y.split(counts, 0), adds);
    }

    private static long AverageRows(long[] counts) => counts.Sum() / Math.Max(1, counts.Count(count => count > 0));

    private static BFloat16Rows StoredRowsOf(Tensor weights) => new(weights.contiguous());
}
