namespace DiffusionGemma;

/// <summary>
/// Splits a global batch into micro-batches: rows of similar length together, so that little is padded. Draws and denominators belong to
/// the global batch, so the split changes nothing but the order in which gradients are added up.
/// <code>
/// lengths 30 90 31 88, at most 2 rows     as they come  [30 90] [31 88]   62 + 57 = 119 padded tokens
///                                         sorted        [90 88] [31 30]    2 +  1 =   3
/// </code>
/// </summary>
internal static class MicroBatchPlan
{
    /// <param name="lengths">Tokens of each row.</param>
    /// <param name="maxRows">Rows a micro-batch at most; with 1 the rows stay in their order.</param>
    /// <param name="maxTokens">Tokens a micro-batch at most, padding included; a longer row is alone. Null: any number.</param>
    /// <returns>Indices of rows.</returns>
    public static IReadOnlyList<int[]> Split(IReadOnlyList<int> lengths, int maxRows, int? maxTokens)
    {
        if (maxRows == 1) return [.. Enumerable.Range(0, lengths.Count).Select(row => new[] { row })];
        var batches = new List<List<int>>();
        foreach (int row in Enumerable.Range(0, lengths.Count).OrderByDescending(row => lengths[row]))
        {
            // Sorted, so the first row of a micro-batch is the longest: all are padded to it.
            if (batches.Count == 0 || batches[^1].Count == maxRows
                || (long)(batches[^1].Count + 1) * lengths[batches[^1][0]] > (maxTokens ?? long.MaxValue))
                batches.Add([]);
            batches[^1].Add(row);
        }
        return [.. batches.Select(batch => batch.ToArray())];
    }

    /// <summary>
    /// The micro-batches that ranks work on at the same time: [round][rank] are indices of rows, none where a rank has no micro-batch.
    /// Micro-batches of similar size share a round, so that ranks wait little for each other.
    /// </summary>
    /// <param name="lengths">Tokens of each row.</param>
    /// <param name="maxRows">Rows a micro-batch at most; fewer where that would leave ranks without any.</param>
    /// <param name="maxTokens">Tokens a micro-batch at most, padding included; a longer row is alone. Null: any number.</param>
    /// <param name="ranks">Ranks.</param>
    public static IReadOnlyList<int[][]> Rounds(IReadOnlyList<int> lengths, int maxRows, int? maxTokens, int ranks)
    {
        IEnumerable<int[]> batches = Split(lengths, Math.Min(maxRows, (lengths.Count + ranks - 1) / ranks), maxTokens);
        if (ranks > 1) batches = batches.OrderByDescending(rows => (long)rows.Length * rows.Max(row => lengths[row]));
        return [.. batches.Chunk(ranks).Select(round => (int[][])[.. round, .. Enumerable.Repeat<int[]>([], ranks - round.Length)])];
    }
}
