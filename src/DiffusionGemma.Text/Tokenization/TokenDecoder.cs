using System.Text;
using System.Text.Unicode;

namespace DiffusionGemma.Text.Tokenization;

/// <summary>
/// Ids to text: ▁ becomes a space, a run of byte tokens is read as UTF-8. A run that isn't valid UTF-8 gives one U+FFFD for each byte
/// of the whole run, as the reference does. An id that has no token gives nothing.
/// </summary>
internal sealed class TokenDecoder(Vocabulary vocabulary, bool marksSpaces)
{
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens)
    {
        StringBuilder text = new();
        List<byte> run = [];
        foreach (int id in ids)
        {
            if (vocabulary.TokenOf(id) is not { } token || (skipSpecialTokens && vocabulary.IsSpecial(id)))
                continue;
            int value = vocabulary.ByteOf(id);
            if (value >= 0)
            {
                run.Add((byte)value);
                continue;
            }
            EndRun(run, text);
            text.Append(token);
            if (marksSpaces)
                text.Replace(Vocabulary.SpaceMark, ' ', text.Length - token.Length, token.Length);
        }
        EndRun(run, text);
        return text.ToString();
    }

    private static void EndRun(List<byte> run, StringBuilder text)
    {
        if (run.Count == 0)
            return;
        byte[] bytes = [.. run];
        run.Clear();
        if (Utf8.IsValid(bytes))
            text.Append(Encoding.UTF8.GetString(bytes));
        else
            text.Append('\uFFFD', bytes.Length);
    }
}
