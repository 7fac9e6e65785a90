namespace DiffusionGemma;

/// <summary>Gemma's control tokens that separate the parts of an answer.</summary>
internal enum ControlToken
{
    ChannelOpen,
    ChannelClose,
    CallOpen,
    CallClose,
    Quote,
    ResponseOpen,
    ResponseClose,
    ToolOpen,
    ToolClose,
    TurnOpen,
    TurnClose,
    Think,
}
