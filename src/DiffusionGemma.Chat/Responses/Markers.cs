namespace DiffusionGemma;

/// <summary>How each is written.</summary>
internal static class Markers
{
    public const string Quote = "<|\"|>", CallOpen = "<|tool_call>", ChannelOpen = "<|channel>", ChannelClose = "<channel|>",
        TurnOpen = "<|turn>";

    public static IReadOnlyDictionary<string, Marker> ByText { get; } = new Dictionary<string, Marker>
    {
        [ChannelOpen] = Marker.ChannelOpen, [ChannelClose] = Marker.ChannelClose, [CallOpen] = Marker.CallOpen,
        ["<tool_call|>"] = Marker.CallClose, [Quote] = Marker.Quote,
        ["<|tool_response>"] = Marker.ResponseOpen, ["<tool_response|>"] = Marker.ResponseClose, ["<|tool>"] = Marker.ToolOpen,
        ["<tool|>"] = Marker.ToolClose,
        [TurnOpen] = Marker.TurnOpen, ["<turn|>"] = Marker.TurnClose, ["<|think|>"] = Marker.Think,
    };

    public static int LongestText { get; } = ByText.Keys.Max(text => text.Length);

    /// <summary>Every marker ends with '>', so that a look is needed after that character alone.</summary>
    public static bool TryFindAtEnd(ReadOnlySpan<char> text, out string found)
    {
        if (text is [.., '>'])
            foreach (string marker in ByText.Keys)
                if (text.EndsWith(marker))
                {
                    found = marker;
                    return true;
                }
        found = "";
        return false;
    }
}
