namespace DiffusionGemma;

/// <summary>
/// Byte-pair merging of one piece of text: always the merge of lowest rank, and of equal ranks the leftmost.
/// Short pieces are scanned; long ones go to <see cref="LongPieceMerger"/>, whose time does not grow with the square of their length.
/// </summary>
internal sealed class BpeMerger(MergeTable merges)
{
    private const int LongestScanned = 48;

    /// <summary>Merges in place; the result is at the front of <paramref name="symbols"/>.</summary>
    /// <returns>How many are left.</returns>
    public int Merge(Span<Symbol> symbols) =>
        symbols.Length <= LongestScanned ? MergeByScan(symbols) : new LongPieceMerger(merges, symbols).Merge();

    private int MergeByScan(Span<Symbol> symbols)
    {
        int count = symbols.Length;
        Span<long> candidates = stackalloc long[LongestScanned];    // candidates[i]: the merge of symbols i and i + 1
        for (int i = 0; i + 1 < count; i++)
            candidates[i] = merges.Find(symbols[i].Id, symbols[i + 1].Id);

        while (count > 1)
        {
            int best = -1;
            int bestRank = int.MaxValue;
            for (int i = 0; i + 1 < count; i++)
            {
                if (MergeTable.RankOf(candidates[i]) < bestRank)
                    (best, bestRank) = (i, MergeTable.RankOf(candidates[i]));
            }
            if (best < 0)
                break;

            symbols[best] = symbols[best].JoinedWith(symbols[best + 1], MergeTable.ResultOf(candidates[best]));
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            candidates[(best + 1)..(count - 1)].CopyTo(candidates[best..]);
            count--;
            if (best > 0)
                candidates[best - 1] = merges.Find(symbols[best - 1].Id, symbols[best].Id);
            if (best + 1 < count)
                candidates[best] = merges.Find(symbols[best].Id, symbols[best + 1].Id);
        }
        return count;
    }
}
