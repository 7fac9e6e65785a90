namespace DiffusionGemma;

/// <summary>
/// Adds an answer's thought channels to the assistant's mask, or takes them out, with the control tokens around them:
/// <code>
/// ids        &lt;|turn> model \n &lt;|channel> thought \n Rain? &lt;channel|> Yes . &lt;turn|>
/// Train                         1        1     1   1      1        1   1    1
/// Ignore                        0        0     0   0      0        1   1    1
/// </code>
/// A channel without a text, which generation prompts hold, is none of the assistant's and stays as it is.
/// </summary>
internal sealed class ReasoningMask(DiffusionGemmaTokenizer tokenizer, ReasoningTraining reasoning)
{
    public void Apply(int[] ids, bool[] mask)
    {
        for (int open = 0; open < ids.Length; open++)
        {
            if (ControlTokens.Of(tokenizer, ids[open]) != ControlToken.ChannelOpen) continue;
            int end = open + 1;             // one behind the channel
            bool isClosed = false;
            while (end < ids.Length && !isClosed
                && ControlTokens.Of(tokenizer, ids[end]) is not (ControlToken.TurnOpen or ControlToken.TurnClose))
                isClosed = ControlTokens.Of(tokenizer, ids[end++]) == ControlToken.ChannelClose;
            bool isAnswers = end < ids.Length ? mask[end] : mask[open];
            if (reasoning == ReasoningTraining.Ignore) mask.AsSpan(open..end).Clear();
            else if (isAnswers && HasText(ids.AsSpan(open + 1, end - open - 1 - (isClosed ? 1 : 0)))) mask.AsSpan(open..end).Fill(true);
            open = end - 1;
        }
    }

    /// <summary>True if anything follows the line with the channel's name.</summary>
    private bool HasText(ReadOnlySpan<int> channel)
    {
        string text = tokenizer.Decode(channel.ToArray(), skipSpecialTokens: true);
        int line = text.IndexOf('\n', StringComparison.Ordinal);
        return !string.IsNullOrWhiteSpace(line < 0 && text.TrimEnd() == "thought" ? "" : text[(line + 1)..]);
    }
}
