using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Finds control tokens that are spelled out, and stop sequences. Holds back characters that may yet become one, so that no part of one is
/// given away:
/// <code>
/// in      4 2 &lt; | t u r n   | >
/// out     42                      control token TurnClose
/// </code>
/// </summary>
internal sealed class ControlScanner(IReadOnlyList<string> stopSequences)
{
    private readonly StringBuilder _pending = new();
    private string _given = "";

    /// <summary>Takes one character.</summary>
    /// <param name="character">The next character.</param>
    /// <param name="control">The control token that it completes, if it does; it is taken out.</param>
    /// <param name="isStopped">True if it completes a stop sequence; it is taken out.</param>
    /// <returns>True if it completes either.</returns>
    public bool Add(char character, out ControlToken? control, out bool isStopped)
    {
        (control, isStopped) = (null, false);
        _pending.Append(character);
        if (character == '>')
        {
            string recent = _given + _pending;
            if (ControlTokens.TryFindAtEnd(recent, out string text))
            {
                if (text.Length <= _pending.Length)
                {
                    _pending.Length -= text.Length;
                    control = ControlTokens.ByText[text];
                    return true;
                }
                // Its beginning was given away, because a control token between the two was taken out: it stays unfinished.
                _pending.Length--;
                return false;
            }
        }
        foreach (string stop in stopSequences)
        {
            if (stop[^1] != character || stop.Length > _pending.Length || !EndsWith(stop)) continue;
            _pending.Length -= stop.Length;
            isStopped = true;
            return true;
        }
        return false;
    }

    /// <summary>Takes the characters that are certain now.</summary>
    public string TakeCertain() => Take(_pending.Length - HeldBack());

    /// <summary>Takes all characters: other content follows, or nothing.</summary>
    public string TakeAll() => Take(_pending.Length);

    private string Take(int count)
    {
        if (count == 0) return "";
        string text = _pending.ToString(0, count);
        _pending.Remove(0, count);
        string recent = _given + text;
        _given = recent[Math.Max(0, recent.Length - ControlTokens.LongestText)..];
        return text;
    }

    /// <summary>The longest end of the text that begins a control token or a stop sequence.</summary>
    private int HeldBack()
    {
        string text = _pending.ToString();
        int longest = 0;
        foreach (string sought in ControlTokens.ByText.Keys.Concat(stopSequences))
            for (int length = Math.Min(sought.Length - 1, text.Length); length > longest; length--)
                if (text.AsSpan(text.Length - length).SequenceEqual(sought.AsSpan(0, length)))
                    longest = length;
        return longest;
    }

    private bool EndsWith(string text)
    {
        for (int i = 0; i < text.Length; i++)
            if (_pending[_pending.Length - text.Length + i] != text[i])
                return false;
        return true;
    }
}
