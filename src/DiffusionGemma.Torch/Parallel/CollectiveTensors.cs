using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Views of tensors as the engines send them: flat, as rows for each rank, or in pieces of limited size.</summary>
internal static class CollectiveTensors
{
    public static Tensor Flat(Tensor tensor) => tensor.view(tensor.numel());

    /// <summary>The rows of each rank, flat.</summary>
    public static Tensor[] RowsByRank(Tensor tensor, IReadOnlyList<long> counts)
    {
        var rows = new Tensor[counts.Count];
        long start = 0;
        for (int r = 0; r < rows.Length; start += counts[r++]) rows[r] = Flat(tensor.narrow(0, start, counts[r]));
        return rows;
    }

    /// <summary>
    /// Calls an action with start and count of each piece of a flat tensor; frees the tensors of one piece before the next.
    /// </summary>
    /// <param name="elements">All elements; 0 has no piece.</param>
    /// <param name="pieceElements">The most elements of a piece.</param>
    /// <param name="action">Gets start and count.</param>
    public static void ForEachPiece(long elements, long pieceElements, Action<long, long> action)
    {
        for (long start = 0; start < elements; start += pieceElements)
        {
            using var scope = NewDisposeScope();
            action(start, Math.Min(pieceElements, elements - start));
        }
    }
}
