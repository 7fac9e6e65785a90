using System.Numerics;
using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// Pair of ids to rank and result: open addressing in two flat arrays, because half a million entries are looked up once a character
/// and a general dictionary would cost three times the memory and a call each.
/// </summary>
internal sealed class MergeTable
{
    /// <summary>No merge for the pair; greater than every real entry.</summary>
    public const long None = long.MaxValue;

    private readonly ulong[] _keys;     // 0: free
    private readonly long[] _values;
    private readonly int _mask;

    public MergeTable(IReadOnlyList<Merge> merges)
    {
        int capacity = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, merges.Count * 2));
        _keys = new ulong[capacity];
        _values = new long[capacity];
        _mask = capacity - 1;
        for (int rank = 0; rank < merges.Count; rank++)
        {
            // Of a pair that is listed twice the reference keeps the last rank.
            int slot = Slot(Key(merges[rank].Left, merges[rank].Right));
            _keys[slot] = Key(merges[rank].Left, merges[rank].Right);
            _values[slot] = ((long)rank << 32) | (uint)merges[rank].Result;
        }
    }

    /// <summary>
    /// Rank in the high half, id of the result in the low half: smaller is merged earlier. <see cref="None"/> when there is none.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long Find(int left, int right)
    {
        int slot = Slot(Key(left, right));
        return _keys[slot] == 0 ? None : _values[slot];
    }

    public static int RankOf(long entry) => (int)(entry >> 32);

    public static int ResultOf(long entry) => (int)(uint)entry;

    private static ulong Key(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) + 1;

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
