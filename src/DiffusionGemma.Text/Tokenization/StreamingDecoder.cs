using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Ids to text as they come, for one reader. Never gives half a character: a character that is written as byte tokens comes with the token
/// after its bytes, because until then it is not known whether they are valid. All that it gives, put together, is what
/// <see cref="DiffusionGemmaTokenizer.Decode(IEnumerable{int}, bool)"/> gives for all the ids.
/// </summary>
/// <example>
/// <code>
/// var decoder = new StreamingDecoder(tokenizer, skipSpecialTokens: true);
/// foreach (int id in ids)
///     Console.Write(decoder.Append(id));
/// Console.Write(decoder.Flush());
/// </code>
/// </example>
public sealed class StreamingDecoder
{
    private readonly TokenDecoder _decoder;
    private readonly StringBuilder _ready = new();

    /// <summary>Begins a text.</summary>
    /// <param name="tokenizer">Whose ids they are.</param>
    /// <param name="skipSpecialTokens">Leave special tokens out.</param>
    public StreamingDecoder(DiffusionGemmaTokenizer tokenizer, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        _decoder = tokenizer.CreateDecoder(skipSpecialTokens);
    }

    /// <summary>The text that is certain now; empty while bytes of a character are awaited.</summary>
    public string Append(int id)
    {
        _decoder.Append(id, _ready);
        return TakeReady();
    }

    /// <summary>The text that is certain after these ids.</summary>
    public string Append(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        foreach (int id in ids)
            _decoder.Append(id, _ready);
        return TakeReady();
    }

    /// <summary>
    /// The text's end: bytes that still waited, U+FFFD for each where they are no valid UTF-8. What is appended after it is a new text.
    /// </summary>
    public string Flush()
    {
        _decoder.End(_ready);
        return TakeReady();
    }

    private string TakeReady()
    {
        if (_ready.Length == 0)
            return "";
        string text = _ready.ToString();
        _ready.Clear();
        return text;
    }
}
