namespace DiffusionGemma;

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

    /// <summary>The piece's tokens, with spans counted from its start.</summary>
    public bool TryGet(ReadOnlySpan<char> piece, out ReadOnlySpan<Symbol> tokens)
    {
        Entry? entry = Volatile.Read(ref _entries[SlotOf(piece)]);
        if (entry is not null && piece.SequenceEqual(entry.Piece))
        {
            tokens = entry.Tokens;
            return true;
        }
        tokens = default;
        return false;
    }

    public void Put(ReadOnlySpan<char> piece, Symbol[] tokens) =>
        Volatile.Write(ref _entries[SlotOf(piece)], new Entry(piece.ToString(), tokens));

    private static int SlotOf(ReadOnlySpan<char> piece)
    {
        uint hash = 2166136261;
        foreach (char unit in piece)
            hash = (hash ^ unit) * 16777619;
        return (int)(hash ^ (hash >> 15)) & (Slots - 1);
    }

    private sealed record Entry(string Piece, Symbol[] Tokens);
}
