using System.Buffers;
using System.Globalization;
using System.Text;

namespace DiffusionGemma;

/// <summary>Tokens and ids, both ways, with the two tables that encoding starts from: id of a character, id of a byte.</summary>
internal sealed class Vocabulary
{
    /// <summary>The character that the normalizer writes for a space.</summary>
    public const char SpaceMark = '▁';

    private const int ByteCount = 256;
    private const int UnicodeRange = 0x110000;

    private readonly Dictionary<string, int> _ids;
    private readonly string?[] _tokens;
    private readonly bool[] _special;
    private readonly short[] _bytesOfIds;
    private readonly int[] _idsOfBytes = new int[ByteCount];
    private readonly int[] _idsOfCharacters = new int[UnicodeRange];

    public Vocabulary(Dictionary<string, int> model, IReadOnlyList<AddedToken> added)
    {
        _ids = model;
        int size = Math.Max(model.Count == 0 ? 0 : model.Values.Max(), added.Count == 0 ? 0 : added.Max(token => token.Id)) + 1;
        _tokens = new string?[size];
        _special = new bool[size];
        _bytesOfIds = new short[size];
        Array.Fill(_bytesOfIds, (short)-1);
        Array.Fill(_idsOfBytes, -1);
        Array.Fill(_idsOfCharacters, -1);

        foreach ((string token, int id) in model)
        {
            _tokens[id] = token;
            if (Rune.DecodeFromUtf16(token, out Rune rune, out int consumed) == OperationStatus.Done && consumed == token.Length)
                _idsOfCharacters[rune.Value] = id;
        }
        foreach (AddedToken token in added)
        {
            _ids[token.Content] = token.Id;
            _tokens[token.Id] = token.Content;
            _special[token.Id] = token.IsSpecial;
        }
        for (int id = 0; id < size; id++)
        {
            if (_tokens[id] is not { } token || !TryReadByteToken(token, out byte value))
                continue;
            _bytesOfIds[id] = value;
            // Encoding looks bytes up by the name with capital digits; decoding takes either spelling.
            if (token == ByteToken(value))
                _idsOfBytes[value] = id;
        }
    }

    /// <summary>One more than the highest id.</summary>
    public int Size => _tokens.Length;

    public int? IdOf(string token) => _ids.TryGetValue(token, out int id) ? id : null;

    public string? TokenOf(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    public bool IsSpecial(int id) => (uint)id < (uint)_special.Length && _special[id];

    /// <summary>The byte of a token such as &lt;0x0A&gt;, or -1.</summary>
    public int ByteOf(int id) => _bytesOfIds[id];

    public int IdOfByte(byte value) => _idsOfBytes[value];

    /// <summary>The id of a normalized character, or -1 where it must be written as bytes.</summary>
    public int IdOfCharacter(int codePoint) => _idsOfCharacters[codePoint];

    public static string ByteToken(byte value) => $"<0x{value:X2}>";

    private static bool TryReadByteToken(string token, out byte value)
    {
        value = 0;
        return token is ['<', '0', 'x', _, _, '>']
            && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
