using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Characters of one kind of content on their way out. Holds back what may yet become a marker or a stop sequence, so that no part of one
/// is given away:
/// <code>
/// in      4 2 &lt; | t u r n   | >
/// out     42                      marker TurnClose
/// </code>
/// </summary>
internal sealed class TextSink(IReadOnlyList<string> stopSequences)
{
    private readonly StringBuilder _pending = new();
    private string _given = "";

    /// <summary>Takes one character.</summary>
    /// <param name="character">The next character.</param>
    /// <param name="marker">The marker that it completes, if it does; it is taken out.</param>
    /// <param name="stopped">Whether it completes a stop sequence; it is taken out.</param>
    /// <returns>Whether either is so.</returns>
    public bool Add(char character, out Marker? marker, out bool stopped)
    {
        (marker, stopped) = (null, false);
        _pending.Append(character);
        if (character == '>')
        {
            string recent = _given + _pending;
            if (Markers.TryFindAtEnd(recent, out string text))
            {
                if (text.Length <= _pending.Length)
                {
                    _pending.Length -= text.Length;
                    marker = Markers.ByText[text];
                    return true;
                }
                // Its beginning was given away: a marker that stood between the two was taken out, or other content did. It stays
                // unfinished.
                _pending.Length--;
                return false;
            }
        }
        foreach (string stop in stopSequences)
            if (stop[^1] == character && stop.Length <= _pending.Length && EndsWith(stop))
            {
                _pending.Length -= stop.Length;
                stopped = true;
                return true;
            }
        return false;
    }

    /// <summary>What is certain now.</summary>
    public string TakeCertain() => Take(_pending.Length - HeldBack());

    /// <summary>All of it: other content follows, or nothing.</summary>
    public string TakeAll() => Take(_pending.Length);

    private string Take(int count)
    {
        if (count == 0) return "";
        string text = _pending.ToString(0, count);
        _pending.Remove(0, count);
        string recent = _given + text;
        _given = recent[Math.Max(0, recent.Length - Markers.LongestText)..];
        return text;
    }

    /// <summary>The longest end of the text that begins a marker or a stop sequence.</summary>
    private int HeldBack()
    {
        string text = _pending.ToString();
        int longest = 0;
        foreach (string sought in Markers.ByText.Keys.Concat(stopSequences))
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
