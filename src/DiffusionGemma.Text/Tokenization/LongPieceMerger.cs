namespace DiffusionGemma;

/// <summary>
/// Merges one long piece. The candidates are kept by rank, and those of one rank by place: the number of ranks that a text uses is small
/// beside its length, so that time grows all but linearly.
/// </summary>
internal readonly ref struct LongPieceMerger
{
    private readonly MergeTable _merges;
    private readonly Span<Symbol> _symbols;
    private readonly int[] _previous;       // -1: none
    private readonly int[] _next;           // the number of symbols: none
    private readonly Dictionary<int, RankQueue> _places = [];
    private readonly PriorityQueue<RankQueue, int> _ranks = new();

    public LongPieceMerger(MergeTable merges, Span<Symbol> symbols)
    {
        _merges = merges;
        _symbols = symbols;
        _previous = new int[symbols.Length];
        _next = new int[symbols.Length];
        for (int i = 0; i < symbols.Length; i++)
            (_previous[i], _next[i]) = (i - 1, i + 1);
    }

    /// <summary>Merges in place; the result is at the front of the symbols.</summary>
    /// <returns>How many are left.</returns>
    public int Merge()
    {
        for (int i = 0; i + 1 < _symbols.Length; i++)
            Enqueue(i, i + 1);
        while (_ranks.TryPeek(out RankQueue? places, out int rank))
        {
            // A candidate whose pair has changed since it was queued is recognised when it comes up, and skipped.
            if (places.IsEmpty)
                _ranks.Dequeue();
            else
                MergeAt(places.Dequeue(), rank);
        }

        int left = 0;
        foreach (Symbol symbol in _symbols)
        {
            if (!symbol.IsGone)
                _symbols[left++] = symbol;
        }
        return left;
    }

    private void MergeAt(int at, int rank)
    {
        int right = _next[at];
        if (_symbols[at].IsGone || right == _symbols.Length)
            return;
        long entry = _merges.Find(_symbols[at].Id, _symbols[right].Id);
        if (entry == MergeTable.None || MergeTable.RankOf(entry) != rank)
            return;

        _symbols[at] = _symbols[at].JoinedWith(_symbols[right], MergeTable.ResultOf(entry));
        _symbols[right] = Symbol.Gone;
        _next[at] = _next[right];
        if (_next[at] < _symbols.Length)
        {
            _previous[_next[at]] = at;
            Enqueue(at, _next[at]);
        }
        if (_previous[at] >= 0)
            Enqueue(_previous[at], at);
    }

    private void Enqueue(int left, int right)
    {
        long entry = _merges.Find(_symbols[left].Id, _symbols[right].Id);
        if (entry == MergeTable.None)
            return;
        int rank = MergeTable.RankOf(entry);
        if (!_places.TryGetValue(rank, out RankQueue? places))
            _places[rank] = places = new RankQueue();
        // An empty queue may still stand among the ranks: standing there twice does no harm.
        if (places.IsEmpty)
            _ranks.Enqueue(places, rank);
        places.Enqueue(left);
    }
}
