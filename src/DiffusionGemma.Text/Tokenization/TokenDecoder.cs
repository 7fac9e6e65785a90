using System.Text;
using System.Text.Unicode;

namespace DiffusionGemma;

/// <summary>
/// Ids of one text to its characters: ▁ becomes a space, a run of byte tokens is read as UTF-8. A run that isn't valid UTF-8 gives one
/// U+FFFD for each byte of the whole run, as the reference does: it is written when it ends. An id that has no token gives nothing.
/// </summary>
internal sealed class TokenDecoder(Vocabulary vocabulary, bool marksSpaces, bool skipsSpecialTokens)
{
    private readonly List<byte> _run = [];

    public void Append(int id, StringBuilder text)
    {
        if (vocabulary.TokenOf(id) is not { } token || (skipsSpecialTokens && vocabulary.IsSpecial(id)))
            return;
        int value = vocabulary.ByteOf(id);
        if (value >= 0)
        {
            _run.Add((byte)value);
            return;
        }
        End(text);
        text.Append(token);
        if (marksSpaces)
            text.Replace(Vocabulary.SpaceMark, ' ', text.Length - token.Length, token.Length);
    }

    /// <summary>Writes the bytes that still wait.</summary>
    public void End(StringBuilder text)
    {
        if (_run.Count == 0)
            return;
        byte[] bytes = [.. _run];
        _run.Clear();
        if (Utf8.IsValid(bytes))
            text.Append(Encoding.UTF8.GetString(bytes));
        else
            text.Append('\uFFFD', bytes.Length);
    }
}
