using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The (token, choice) pairs of a layer's tokens, sorted by expert: the pairs of one expert are one slice.</summary>
/// <param name="Order">[T·K]: the pair at each sorted place.</param>
/// <param name="Tokens">[T·K]: the token at each sorted place.</param>
/// <param name="Places">[T·K]: the sorted place of each pair.</param>
/// <param name="Rows">Pairs of each expert.</param>
/// <param name="Choices">K.</param>
/// <example>
/// T = 3 tokens, K = 2 choices, E = 3 experts:
/// <code>
/// indices   t0: 2 0   t1: 0 1   t2: 2 0      pairs    a b c d e f   (t0's two, t1's two, t2's two)
/// sorted    b c f | d | a e                  experts  0     1   2
/// Tokens    0 1 2   1   0 2                  Places   4 0 1 3 5 2
/// </code>
/// </example>
internal sealed record ExpertRouting(Tensor Order, Tensor Tokens, Tensor Places, ExpertRows Rows, long Choices)
{
    /// <summary>Sorts the pairs by expert.</summary>
    /// <param name="indices">[T,K].</param>
    /// <param name="experts">E.</param>
    /// <param name="reads">Reads the counts; null: those of the device.</param>
    /// <param name="countsOnDevice">True to leave the counts on the device.</param>
    public static ExpertRouting Sort(Tensor indices, long experts, IHostReads? reads = null, bool countsOnDevice = false)
    {
        ExpertRows? onDevice = countsOnDevice ? ExpertRows.CountOnDevice(indices, experts) : null;
        using var scope = NewDisposeScope();
        Tensor flat = indices.flatten(), order = flat.sort(0, descending: false, stable: true).Indices;
        ExpertRows rows = onDevice ?? ExpertRows.OnHost((reads ?? IHostReads.For(indices.device)).CountsOf(flat, experts));
        long choices = indices.shape[1];
        return new ExpertRouting(
            order.MoveToOuterDisposeScope(), order.div(choices, RoundingMode.floor).MoveToOuterDisposeScope(),
            order.argsort().MoveToOuterDisposeScope(), rows, choices);
    }

    /// <summary>Copies rows of tokens [T,...] to their sorted places [T·K,...].</summary>
    public Tensor Sorted(Tensor tokens) => TorchOperators.SelectRows(tokens, Tokens);

    /// <summary>Sums sorted rows [T·K,H] token by token: [T,H].</summary>
    public Tensor Summed(Tensor sorted) => TorchOperators.SumOfRows(sorted, Places, Choices);
}
