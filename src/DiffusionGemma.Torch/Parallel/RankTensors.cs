using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Tensors as engines see them: numbers in a row, or rows for each rank.</summary>
internal static class RankTensors
{
    public static Tensor Flat(Tensor tensor) => tensor.view(tensor.numel());

    /// <summary>The rows of each rank, flat.</summary>
    public static Tensor[] Rows(Tensor tensor, IReadOnlyList<long> counts)
    {
        var rows = new Tensor[counts.Count];
        long start = 0;
        for (int r = 0; r < rows.Length; start += counts[r++]) rows[r] = Flat(tensor.narrow(0, start, counts[r]));
        return rows;
    }

    /// <summary>Start and count of each piece, none where there are no numbers; what a piece needs on the way is freed before the next.</summary>
    public static void Pieces(long numbers, long most, Action<long, long> piece)
    {
        for (long start = 0; start < numbers; start += most)
        {
            using var scope = NewDisposeScope();
            piece(start, Math.Min(most, numbers - start));
        }
    }
}
