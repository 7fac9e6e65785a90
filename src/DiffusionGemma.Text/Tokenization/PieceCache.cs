namespace DiffusionGemma.Text.Tokenization;

/// <summary>
/// Remembers how short pieces were encoded. A fixed table in which a later piece takes the place of an earlier one: bounded memory, and no
/// lock, because an entry is one immutable object and its reference is read and written whole.
/// </summary>
internal sealed class PieceCache
{
    /// <summary>Longer pieces hardly ever occur twice.</summary>
    public const int LongestPiece = 24;

    private const int Slots = 1 << 15;

    private readonly Entry?[] _entries = new Entry?[Slots];

    public bool TryGet(ReadOnlySpan<char> piece, out ReadOnlySpan<int> ids)
    {
        Entry? entry = Volatile.Read(ref _entries[SlotOf(piece)]);
        if (entry is not null && piece.SequenceEqual(entry.Piece))
        {
            ids = entry.Ids;
            return true;
        }
        ids = default;
        return false;
    }

    public void Put(ReadOnlySpan<char> piece, int[] ids) => Volatile.Write(ref _entries[SlotOf(piece)], new Entry(piece.ToString(), ids));

    private static int SlotOf(ReadOnlySpan<char> piece)
    {
        uint hash = 2166136261;
        foreach (char unit in piece)
            hash = (hash ^ unit) * 16777619;
        return (int)(hash ^ (hash >> 15)) & (Slots - 1);
    }

    private sealed record Entry(string Piece, int[] Ids);
}
