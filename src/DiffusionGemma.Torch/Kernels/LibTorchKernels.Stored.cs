using static TorchSharp.torch;

namespace DiffusionGemma;

internal static partial class LibTorchKernels
{
    /// <summary>y = x W_eᵀ for each expert's rows: a product for each block of W's rows.</summary>
    /// <param name="x">[N,in], float32 or float64.</param>
    /// <param name="weights">W [E·out,in].</param>
    /// <param name="counts">[E].</param>
    /// <param name="y">[N,out], in the dtype of <paramref name="x"/>; written.</param>
    public static void GroupedLinearInto(Tensor x, IStoredRows weights, long[] counts, Tensor y) =>
        ForEachBlock(x, weights, y.shape[1], counts, y, (rows, block, first, to) =>
            TorchOperators.MatrixProductInto(rows, block.t(), to.narrow(1, first, block.shape[0])));

    /// <summary>y = a B_e for each expert's rows: the products with each block of B's rows are added up.</summary>
    /// <param name="a">[N,K], float32 or float64.</param>
    /// <param name="b">B [E·K,M].</param>
    /// <param name="counts">[E].</param>
    /// <param name="y">[N,M], in the dtype of <paramref name="a"/>; written.</param>
    public static void GroupedMatMulInto(Tensor a, IStoredRows b, long[] counts, Tensor y) =>
        ForEachBlock(a, b, a.shape[1], counts, y, (rows, block, first, to) =>
            to.addmm_(rows.narrow(1, first, block.shape[0]), block, beta: first == 0 ? 0 : 1, alpha: 1));

    /// <summary>Calls a product for each block of each expert's stored rows, widened to the dtype of the others.</summary>
    private static unsafe void ForEachBlock(
        Tensor x, IStoredRows stored, long height, long[] counts, Tensor y, Action<Tensor, Tensor, long, Tensor> product)
    {
        long columns = stored.Columns, size = WidenedBlock.RowsOf(columns);
        using var memory = new WidenedBlock(height, columns);
        using var scope = NewDisposeScope();
        Tensor[] rows = x.split(counts, 0), results = y.split(counts, 0);
        for (int e = 0; e < counts.Length; e++)
            for (long first = 0; counts[e] > 0 && first < height; first += size)
            {
                using var inner = NewDisposeScope();
                long live = Math.Min(size, height - first);
                memory.Fill(stored, e * height + first, live);
                Tensor block = NativeTensors.FromMemory(memory.Numbers, [live, columns], ScalarType.Float32);
                product(rows[e], block.to(x.dtype), first, results[e]);
            }
    }
}
