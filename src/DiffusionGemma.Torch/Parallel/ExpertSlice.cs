using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// How a tensor is split where ranks own the experts between them: seen as [outer, ranks, inner], a rank's part is [outer, inner].
/// <code>
/// a stack [E,out,in], LoRA's A [E·r,in]       experts outermost    outer = 1
/// LoRA's B [out,r·E]                          experts innermost    outer = out·r     2 ranks, E = 4, r = 2:  0 0 1 1 0 0 1 1
/// what is no expert's                         not split            outer = 0
/// </code>
/// </summary>
/// <param name="Outer">Runs of a rank's numbers in the whole tensor.</param>
internal readonly record struct ExpertSlice(long Outer)
{
    /// <summary>Every rank has all of it.</summary>
    public static ExpertSlice None => new(0);

    /// <summary>Along the first dimension.</summary>
    public static ExpertSlice First => new(1);

    /// <summary>A rank's part of a whole, contiguous tensor: a view, where its numbers stand together.</summary>
    public Tensor Of(Tensor whole, IProcessGroup ranks)
    {
        if (Outer == 0 || ranks.Size == 1) return whole;
        return whole.view(Outer, ranks.Size, -1).select(1, ranks.Rank).reshape(Scaled(whole.shape, 1, ranks.Size));
    }

    /// <summary>The shape of the whole of which this is a part.</summary>
    public long[] WholeShape(long[] part, int ranks) => Scaled(part, ranks, 1);

    /// <summary>Puts a rank's numbers, of any shape, in their places.</summary>
    public void Place(Tensor part, Tensor whole, int rank, int ranks)
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
