using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// The pairs of neighbouring characters that some merge's result contains. Between two characters that are no such pair no merge can
/// ever reach, so the text may be cut there: what follows is merged in short pieces, in linear time, and pieces can be remembered.
/// </summary>
internal sealed class JoinablePairs
{
    private readonly ulong[] _keys;     // 0: free
    private readonly int _mask;

    public JoinablePairs(IEnumerable<string> mergeResults)
    {
        HashSet<ulong> pairs = [];
        foreach (string result in mergeResults)
        {
            int previous = -1;
            foreach (Rune rune in result.EnumerateRunes())
            {
                if (previous >= 0)
                    pairs.Add(Key(previous, rune.Value));
                previous = rune.Value;
            }
        }
        int capacity = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, pairs.Count * 3));
        _keys = new ulong[capacity];
        _mask = capacity - 1;
        foreach (ulong key in pairs)
            _keys[Slot(key)] = key;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Contains(int left, int right)
    {
        ulong key = Key(left, right);
        return _keys[Slot(key)] == key;
    }

    private static ulong Key(int left, int right) => (((ulong)(uint)left << 21) | (uint)right) + 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Slot(ulong key)
    {
        ulong hash = key * 0x9E3779B97F4A7C15;
        int slot = (int)(hash >> 32) & _mask;
        while (_keys[slot] != 0 && _keys[slot] != key)
            slot = (slot + 1) & _mask;
        return slot;
    }
}
