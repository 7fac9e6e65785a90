using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Products of experts, in the form that their rows are counted for.</summary>
internal static partial class Kernels
{
    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="rows">The rows of each expert, N in all.</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it, where rows are counted on
    /// the host.</param>
    /// <returns>[N,out].</returns>
    public static Tensor GroupedLinear(Tensor x, StoredWeight weights, ExpertRows rows, bool batchInvariant = false) =>
        rows.Ends is { } ends ? GroupedProducts.Linear(x, weights, ends) : GroupedLinear(x, weights, rows.Counts, batchInvariant);

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    /// <param name="a">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="rows">The rows of each expert, N in all.</param>
    /// <returns>[N,in].</returns>
    public static Tensor GroupedMatMul(Tensor a, StoredWeight weights, ExpertRows rows) =>
        rows.Ends is { } ends ? GroupedProducts.MatMul(a, weights, ends) : GroupedMatMul(a, weights, rows.Counts);

    /// <summary>y += a B_e for each expert's rows of a.</summary>
    /// <param name="y">[N,M].</param>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">B [E,K,M].</param>
    /// <param name="rows">The rows of each expert, N in all.</param>
    /// <param name="batchInvariant">True for results of a row that do not depend on the number of rows beside it, where rows are counted on
    /// the host.</param>
    public static void GroupedAddMatMul(Tensor y, Tensor a, Tensor b, ExpertRows rows, bool batchInvariant = false)
    {
        if (rows.Ends is { } ends) GroupedProducts.AddMatMul(y, a, b, ends);
        else GroupedAddMatMul(y, a, b, rows.Counts, batchInvariant);
    }

    /// <summary>buffers[e] += dyᵀ x over each expert's rows.</summary>
    /// <param name="buffers">[E,out,in], in the dtype of <paramref name="dy"/> or a wider one.</param>
    /// <param name="dy">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="x">[N,in], in the same order.</param>
    /// <param name="rows">The rows of each expert, N in all.</param>
    public static void GroupedAddOuter(Tensor buffers, Tensor dy, Tensor x, ExpertRows rows)
    {
        if (rows.Ends is { } ends) GroupedProducts.AddOuter(buffers, dy, x, ends);
        else GroupedAddOuter(buffers, dy, x, rows.Counts);
    }
}
