namespace DiffusionGemma;

/// <summary>Texts of the control tokens.</summary>
internal static class ControlTokens
{
    public const string Quote = "<|\"|>";
    public const string CallOpen = "<|tool_call>";
    public const string ChannelOpen = "<|channel>";
    public const string ChannelClose = "<channel|>";

    public static IReadOnlyDictionary<string, ControlToken> ByText { get; } = new Dictionary<string, ControlToken>
    {
        [ChannelOpen] = ControlToken.ChannelOpen,
        [ChannelClose] = ControlToken.ChannelClose,
        [CallOpen] = ControlToken.CallOpen,
        ["<tool_call|>"] = ControlToken.CallClose,
        [Quote] = ControlToken.Quote,
        ["<|tool_response>"] = ControlToken.ResponseOpen,
        ["<tool_response|>"] = ControlToken.ResponseClose,
        ["<|tool>"] = ControlToken.ToolOpen,
        ["<tool|>"] = ControlToken.ToolClose,
        ["<|turn>"] = ControlToken.TurnOpen,
        ["<turn|>"] = ControlToken.TurnClose,
        ["<|think|>"] = ControlToken.Think,
    };

    public static int LongestText { get; } = ByText.Keys.Max(text => text.Length);

    /// <summary>Finds the control token's text that ends the text; each ends with '>'.</summary>
    public static bool TryFindAtEnd(ReadOnlySpan<char> text, out string found)
    {
        found = "";
        if (text is not [.., '>']) return false;
        foreach (string control in ByText.Keys)
        {
            if (!text.EndsWith(control)) continue;
            found = control;
            return true;
        }
        return false;
    }

    /// <summary>The control token of an id, or null for every other token.</summary>
    public static ControlToken? Of(DiffusionGemmaTokenizer tokenizer, int id) =>
        tokenizer.IsSpecial(id) && ByText.TryGetValue(tokenizer.TokenOf(id)!, out ControlToken control) ? control : null;
}
