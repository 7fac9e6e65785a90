using System.Buffers;
using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Text to ids: added tokens are cut out of the raw text, the rest is normalized (a space becomes ▁), cut where no merge can reach
/// across, and each piece is merged. A character that has no token of its own is written as its UTF-8 bytes.
/// </summary>
internal sealed class BpeEncoder
{
    private const int MostSymbolsPerUnit = 3;       // UTF-8 bytes of one UTF-16 unit
    private const int LongestPooledPiece = 1 << 14;

    private readonly Vocabulary _vocabulary;
    private readonly AddedTokenTrie _addedTokens;
    private readonly JoinablePairs _joinable;
    private readonly BpeMerger _merger;
    private readonly bool _marksSpaces;
    private readonly PieceCache _cache = new();

    public BpeEncoder(TokenizerFile file)
    {
        _vocabulary = file.Vocabulary;
        _addedTokens = new AddedTokenTrie(file.AddedTokens);
        _joinable = new JoinablePairs(file.Merges.Select(merge => merge.Result).Distinct().Select(id => file.Vocabulary.TokenOf(id)!));
        _merger = new BpeMerger(new MergeTable(file.Merges));
        _marksSpaces = file.MarksSpaces;
    }

    /// <param name="text">Any text.</param>
    /// <param name="sink">Where the ids go.</param>
    /// <param name="barred">Places where no added token may begin: its text is ordinary text there.</param>
    public void Encode(ReadOnlySpan<char> text, TokenSink sink, HashSet<int>? barred = null)
    {
        int done = 0;
        while (_addedTokens.TryFind(text, done, barred, out int start, out int length, out int id))
        {
            EncodePlain(text, done, start, sink);
            sink.Add(id, new TextSpan(start, start + length));
            done = start + length;
        }
        EncodePlain(text, done, text.Length, sink);
    }

    /// <summary>Encodes text between added tokens, piece by piece.</summary>
    private void EncodePlain(ReadOnlySpan<char> text, int start, int end, TokenSink sink)
    {
        int pieceStart = start;
        int previous = -1;
        for (int at = start; at < end;)
        {
            int character = ReadCharacter(text[at..end], out int length);
            if (previous >= 0 && !_joinable.Contains(previous, character))
            {
                EncodePiece(text, new TextSpan(pieceStart, at), sink);
                pieceStart = at;
            }
            previous = character;
            at += length;
        }
        if (pieceStart < end)
            EncodePiece(text, new TextSpan(pieceStart, end), sink);
    }

    private void EncodePiece(ReadOnlySpan<char> text, TextSpan piece, TokenSink sink)
    {
        if (piece.Length > LongestPooledPiece)
        {
            // Nothing so large is left in the pool, and the worst case would be three times what is needed.
            AddMerged(text, piece, new Symbol[CountSymbols(text[piece.Start..piece.End])], sink);
            return;
        }
        ReadOnlySpan<char> units = text[piece.Start..piece.End];
        bool isCached = piece.Length <= PieceCache.LongestPiece;
        if (isCached && _cache.TryGet(units, out ReadOnlySpan<Symbol> known))
        {
            sink.Add(known, piece.Start);
            return;
        }
        Symbol[] rented = ArrayPool<Symbol>.Shared.Rent(piece.Length * MostSymbolsPerUnit);
        ReadOnlySpan<Symbol> merged = AddMerged(text, piece, rented, sink);
        if (isCached)
            _cache.Put(units, Array.ConvertAll(merged.ToArray(), symbol => symbol.MovedBy(-piece.Start)));
        ArrayPool<Symbol>.Shared.Return(rented);
    }

    private ReadOnlySpan<Symbol> AddMerged(ReadOnlySpan<char> text, TextSpan piece, Symbol[] room, TokenSink sink)
    {
        int count = ReadSymbols(text, piece, room);
        count = _merger.Merge(room.AsSpan(0, count));
        sink.Add(room.AsSpan(0, count), movedBy: 0);
        return room.AsSpan(0, count);
    }

    private int CountSymbols(ReadOnlySpan<char> piece)
    {
        int count = 0;
        for (int at = 0; at < piece.Length;)
        {
            int character = ReadCharacter(piece[at..], out int length);
            count += _vocabulary.IdOfCharacter(character) >= 0 ? 1 : new Rune(character).Utf8SequenceLength;
            at += length;
        }
        return count;
    }

    private int ReadSymbols(ReadOnlySpan<char> text, TextSpan piece, Span<Symbol> symbols)
    {
        Span<byte> utf8 = stackalloc byte[4];
        int count = 0;
        for (int at = piece.Start; at < piece.End;)
        {
            int character = ReadCharacter(text[at..piece.End], out int length);
            TextSpan span = new(at, at + length);
            int id = _vocabulary.IdOfCharacter(character);
            if (id >= 0)
            {
                symbols[count++] = new Symbol(id, span);
            }
            else
            {
                int bytes = new Rune(character).EncodeToUtf8(utf8);
                foreach (byte value in utf8[..bytes])
                    symbols[count++] = new Symbol(_vocabulary.IdOfByte(value), span);
            }
            at += length;
        }
        return count;
    }

    /// <summary>The next character as the normalizer leaves it; half a surrogate pair reads as U+FFFD.</summary>
    private int ReadCharacter(ReadOnlySpan<char> text, out int length)
    {
        char first = text[0];
        if (!char.IsSurrogate(first))
        {
            length = 1;
            return first == ' ' && _marksSpaces ? Vocabulary.SpaceMark : first;
        }
        Rune.DecodeFromUtf16(text, out Rune rune, out length);
        return rune.Value;
    }
}
