using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The ranks that own a layer's experts between them, as one of them sees them: rank r of n owns experts [r·E/n, (r+1)·E/n). Every rank
/// makes the same calls in the same order.
/// </summary>
internal interface IExpertRanks
{
    /// <summary>This rank's number, from 0.</summary>
    int Rank { get; }

    /// <summary>The number of ranks.</summary>
    int Size { get; }

    /// <summary>
    /// Sends rows to every rank and receives the rows that every rank has for this one, in the order of ranks.
    /// <code>
    /// 2 ranks    rank 0 sends   a b | c      counts 2 1        rank 0 has then   a b d       counts 2 1
    ///            rank 1 sends   d | e f g    counts 1 3        rank 1            c e f g     counts 1 3
    /// </code>
    /// </summary>
    /// <param name="input">[Σ sent, ...]: rows for rank 0 first.</param>
    /// <param name="sent">Rows for each rank; may be 0.</param>
    /// <param name="output">[Σ received, ...]: rows of rank 0 first; shares no memory with <paramref name="input"/>.</param>
    /// <param name="received">Rows of each rank; may be 0.</param>
    void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received);
}
