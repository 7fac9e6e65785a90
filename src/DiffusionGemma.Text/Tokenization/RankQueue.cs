namespace DiffusionGemma;

/// <summary>
/// The places where one merge may happen, leftmost first. Places come almost always in order, and then cost no sorting: a list that is read
/// from its front. Only what comes late goes to a heap.
/// </summary>
internal sealed class RankQueue
{
    private readonly PriorityQueue<int, int> _late = new();
    private int[] _ordered = new int[4];
    private int _first;
    private int _end;

    public bool IsEmpty => _first == _end && _late.Count == 0;

    public void Enqueue(int place)
    {
        if (_first == _end)
            _first = _end = 0;
        if (_first < _end && place < _ordered[_end - 1])
        {
            _late.Enqueue(place, place);
            return;
        }
        if (_end == _ordered.Length)
            Array.Resize(ref _ordered, 2 * _end);
        _ordered[_end++] = place;
    }

    public int Dequeue()
    {
        if (_late.TryPeek(out int late, out _) && (_first == _end || late < _ordered[_first]))
            return _late.Dequeue();
        return _ordered[_first++];
    }
}
