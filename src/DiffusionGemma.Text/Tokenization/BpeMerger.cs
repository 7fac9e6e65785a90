using System.Buffers;

namespace DiffusionGemma.Text.Tokenization;

/// <summary>
/// Byte-pair merging of one piece of text: always the merge of lowest rank, and of equal ranks the leftmost.
/// Short pieces are scanned; long ones keep the candidates in a heap, so that time is n log n and never n squared.
/// </summary>
internal sealed class BpeMerger(MergeTable merges)
{
    private const int LongestScanned = 48;

    /// <summary>Merges in place; what is left stands at the front of <paramref name="symbols"/>.</summary>
    /// <returns>How many are left.</returns>
    public int Merge(Span<Symbol> symbols) => symbols.Length <= LongestScanned ? MergeByScan(symbols) : MergeByHeap(symbols);

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

    private int MergeByHeap(Span<Symbol> symbols)
    {
        int count = symbols.Length;
        int[] previous = ArrayPool<int>.Shared.Rent(count);
        int[] next = ArrayPool<int>.Shared.Rent(count);     // count: none
        try
        {
            // A priority is (rank, position). An entry whose pair has changed since it was queued is recognised when it comes up, and skipped.
            PriorityQueue<(int Position, int Result), long> queue = new();
            for (int i = 0; i < count; i++)
                (previous[i], next[i]) = (i - 1, i + 1);
            for (int i = 0; i + 1 < count; i++)
                Enqueue(queue, symbols, i, i + 1);

            while (queue.TryDequeue(out (int Position, int Result) candidate, out _))
            {
                int at = candidate.Position;
                if (symbols[at].IsGone || next[at] == count)
                    continue;
                int right = next[at];
                long entry = merges.Find(symbols[at].Id, symbols[right].Id);
                if (entry == MergeTable.None || MergeTable.ResultOf(entry) != candidate.Result)
                    continue;

                symbols[at] = symbols[at].JoinedWith(symbols[right], candidate.Result);
                symbols[right] = Symbol.Gone;
                next[at] = next[right];
                if (next[at] < count)
                {
                    previous[next[at]] = at;
                    Enqueue(queue, symbols, at, next[at]);
                }
                if (previous[at] >= 0)
                    Enqueue(queue, symbols, previous[at], at);
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(previous);
            ArrayPool<int>.Shared.Return(next);
        }

        int left = 0;
        foreach (Symbol symbol in symbols)
        {
            if (!symbol.IsGone)
                symbols[left++] = symbol;
        }
        return left;
    }

    private void Enqueue(PriorityQueue<(int Position, int Result), long> queue, ReadOnlySpan<Symbol> symbols, int left, int right)
    {
        long entry = merges.Find(symbols[left].Id, symbols[right].Id);
        if (entry != MergeTable.None)
            queue.Enqueue((left, MergeTable.ResultOf(entry)), ((long)MergeTable.RankOf(entry) << 32) | (uint)left);
    }
}
