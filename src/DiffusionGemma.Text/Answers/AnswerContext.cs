namespace DiffusionGemma;

/// <summary>The state in which a prompt leaves the answer that follows it.</summary>
/// <param name="BeginsInReasoning">The prompt ends inside a thought.</param>
/// <param name="BeginsWithChannelName">The prompt ends with the token that opens a channel: the channel's name comes next.</param>
/// <param name="FollowsToolResult">The prompt ends with a tool's result, with or without a new turn behind it.</param>
internal readonly record struct AnswerContext(bool BeginsInReasoning, bool BeginsWithChannelName, bool FollowsToolResult)
{
    public static AnswerContext Of(DiffusionGemmaTokenizer tokenizer, ReadOnlySpan<int> prompt)
    {
        List<ControlToken> last = [];       // of the four that matter, backwards
        for (int i = prompt.Length - 1; i >= 0 && last.Count < 3; i--)
        {
            if (ControlTokens.Of(tokenizer, prompt[i]) is { } control && control is ControlToken.ChannelOpen or ControlToken.ChannelClose
                or ControlToken.TurnOpen or ControlToken.TurnClose or ControlToken.ResponseClose)
                last.Add(control);
        }
        bool endsInChannel = last is [ControlToken.ChannelOpen, ..];
        bool followsResult = last is [ControlToken.ResponseClose, ..] or [ControlToken.TurnOpen, ControlToken.ResponseClose, ..]
            or [ControlToken.TurnOpen, ControlToken.TurnClose, ControlToken.ResponseClose];
        return new AnswerContext(
            endsInChannel, endsInChannel && ControlTokens.Of(tokenizer, prompt[^1]) == ControlToken.ChannelOpen, followsResult);
    }
}
