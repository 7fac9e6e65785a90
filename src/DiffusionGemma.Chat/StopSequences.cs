namespace DiffusionGemma;

/// <summary>Ends a text where the first of some sequences begins, and holds back what may turn out to begin one.</summary>
internal sealed class StopSequences(IEnumerable<string>? sequences)
{
    private readonly string[] _sequences = [.. (sequences ?? []).Where(s => s.Length > 0)];
    private string _held = "";

    /// <summary>A sequence was met: the text is over.</summary>
    public bool IsMet { get; private set; }

    /// <summary>What may be told of the text so far.</summary>
    public string Append(string text)
    {
        if (IsMet) return "";
        text = _held + text;
        int[] places = [.. _sequences.Select(s => text.IndexOf(s, StringComparison.Ordinal)).Where(place => place >= 0)];
        if (places.Length > 0)
        {
            (IsMet, _held) = (true, "");
            return text[..places.Min()];
        }
        int held = 0;
        for (int length = 1; length <= text.Length && _sequences.Length > 0; length++)
            if (_sequences.Any(s => s.Length > length && s.StartsWith(text[^length..], StringComparison.Ordinal))) held = length;
        _held = text[^held..];
        return text[..^held];
    }

    /// <summary>What was held back when the text ended.</summary>
    public string Flush() => IsMet ? "" : _held;
}
