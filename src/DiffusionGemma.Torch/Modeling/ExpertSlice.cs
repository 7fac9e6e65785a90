using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The split of a tensor over the ranks that own the experts: viewed as [outer, ranks, inner], a rank's part is [outer, inner].
/// <code>
/// a stack [E,out,in], LoRA's A [E·r,in]       experts outermost    outer = 1
/// LoRA's B [out,r·E]                          experts innermost    outer = out·r     2 ranks, E = 4, r = 2:  0 0 1 1 0 0 1 1
/// a tensor of no expert                       not split            outer = 0
/// </code>
/// </summary>
/// <param name="Outer">The number of contiguous runs that a rank's part has in the whole tensor.</param>
internal readonly record struct ExpertSlice(long Outer)
{
    /// <summary>No split: every rank has the whole tensor.</summary>
    public static ExpertSlice None => new(0);

    /// <summary>A split along the first dimension.</summary>
    public static ExpertSlice First => new(1);

    /// <summary>Returns a rank's part of a whole, contiguous tensor: a view where the part is contiguous.</summary>
    public Tensor Select(Tensor whole, IExpertRanks ranks)
    {
        if (Outer == 0 || ranks.Size == 1) return whole;
        return whole.view(Outer, ranks.Size, -1).select(1, ranks.Rank).reshape(Scaled(whole.shape, 1, ranks.Size));
    }

    /// <summary>Returns the shape of the whole tensor from that of a part.</summary>
    public long[] WholeShape(long[] part, int ranks) => Scaled(part, ranks, 1);

    /// <summary>Copies a rank's part, of any shape, to its place in the whole tensor.</summary>
    public void CopyTo(Tensor part, Tensor whole, int rank, int ranks)
    {
        if (Outer == 0) whole.copy_(part.view(whole.shape));
        else whole.view(Outer, ranks, -1).select(1, rank).copy_(part.view(Outer, -1));
    }

    private long[] Scaled(long[] shape, int factor, int divisor)
    {
        long[] scaled = [.. shape];
        int axis = Outer == 1 ? 0 : scaled.Length - 1;
        if (Outer > 0) scaled[axis] = scaled[axis] * factor / divisor;
        return scaled;
    }
}
