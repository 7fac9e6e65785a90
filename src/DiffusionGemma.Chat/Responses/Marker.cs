namespace DiffusionGemma;

/// <summary>Gemma's control tokens that give an answer its parts.</summary>
internal enum Marker
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
