using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Reads one merge after another into one buffer, in which the two halves and their sum are looked up without becoming strings.
/// </summary>
internal sealed class MergeReader(Dictionary<string, int> vocabulary)
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
    private char[] _buffer = new char[256];

    public bool TryRead(ref Utf8JsonReader json, out Merge merge, out string? problem)
    {
        merge = default;
        int leftLength, length;
        if (json.TokenType == JsonTokenType.StartArray)
        {
            leftLength = CopyNext(ref json, 0);
            length = leftLength < 0 ? -1 : CopyNext(ref json, leftLength);
            json.Read();
            if (length < 0 || json.TokenType != JsonTokenType.EndArray)
            {
                problem = "it is not a pair of strings";
                return false;
            }
        }
        else
        {
            length = Copy(ref json, 0);
            leftLength = length < 0 ? -1 : _buffer.AsSpan(0, length).IndexOf(' ');
            if (leftLength < 0 || leftLength != _buffer.AsSpan(0, length).LastIndexOf(' '))
            {
                problem = "it is not a pair of strings, nor a string with one space";
                return false;
            }
            _buffer.AsSpan((leftLength + 1)..length).CopyTo(_buffer.AsSpan(leftLength));
            length--;
        }

        ReadOnlySpan<char> both = _buffer.AsSpan(0, length);
        problem = null;
        if (!_ids.TryGetValue(both[..leftLength], out int left))
            problem = $"'{both[..leftLength]}' is not in the vocabulary";
        if (!_ids.TryGetValue(both[leftLength..], out int right))
            problem = $"'{both[leftLength..]}' is not in the vocabulary";
        if (!_ids.TryGetValue(both, out int result))
            problem = $"its result '{both}' is not in the vocabulary";
        merge = new Merge(left, right, result);
        return problem is null;
    }

    private int CopyNext(ref Utf8JsonReader json, int at)
    {
        json.Read();
        return Copy(ref json, at);
    }

    /// <returns>Where the text ends in the buffer, or -1 when the value is no string.</returns>
    private int Copy(ref Utf8JsonReader json, int at)
    {
        if (json.TokenType != JsonTokenType.String)
            return -1;
        if (_buffer.Length < at + json.ValueSpan.Length)
            Array.Resize(ref _buffer, 2 * (at + json.ValueSpan.Length));
        return at + json.CopyString(_buffer.AsSpan(at));
    }
}
