using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Text of a channel, without the channel's name and the newline that ends it:
/// <code>
/// &lt;|channel>thought\nIt rains.\n&lt;channel|>   ->   It rains.
/// </code>
/// </summary>
internal sealed class ChannelText
{
    private const int LongestName = 32;
    private static readonly System.Buffers.SearchValues<char> NameCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");

    private readonly StringBuilder _name = new();
    private bool _inName, _newline;

    /// <summary>Begins a channel.</summary>
    /// <param name="inName">True if the channel's name comes first.</param>
    public void Open(bool inName)
    {
        _name.Clear();
        (_inName, _newline) = (inName, false);
    }

    /// <summary>Takes text of the channel; returns its content.</summary>
    public string Add(string text)
    {
        if (_inName)
        {
            string head = _name.Append(text).ToString();
            int end = head.IndexOf('\n', StringComparison.Ordinal);
            if (end < 0 && head.Length <= LongestName) return "";
            text = end is >= 0 and <= LongestName && !head.AsSpan(0, end).ContainsAnyExcept(NameCharacters)
                ? head[(end + 1)..] : head;
            _inName = false;
        }
        if (text.Length == 0) return "";
        if (_newline) text = '\n' + text;
        _newline = text[^1] == '\n';
        return _newline ? text[..^1] : text;
    }

    /// <summary>
    /// The rest, when the channel closes or the answer ends. A channel without a newline has no name, unless it is an empty thought.
    /// </summary>
    public string Close()
    {
        string rest = _inName && !"thought".StartsWith(_name.ToString(), StringComparison.Ordinal) ? _name.ToString() : "";
        Open(inName: false);
        return rest;
    }
}
