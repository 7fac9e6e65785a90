namespace DiffusionGemma;

/// <summary>One token of a row as training would see it.</summary>
/// <param name="Id">The token's id.</param>
/// <param name="Piece">The token's text, with ▁ as a space; a byte that is no character by itself is written <c>&lt;0xF0&gt;</c>.</param>
/// <param name="Part">What the token is part of.</param>
/// <param name="IsSupervised">Whether training learns to write it.</param>
/// <param name="Canvas">The canvas that it stands on, counted from 0; null for what stands on none.</param>
public sealed record ChatPreviewToken(int Id, string Piece, ChatPart Part, bool IsSupervised, int? Canvas);

/// <summary>What a token is part of.</summary>
public enum ChatPart
{
    /// <summary>What the assistant is told: system, user and tool messages, and what the template writes around them.</summary>
    Prompt,

    /// <summary>What the assistant said in a turn before its last, which training reads as prompt.</summary>
    EarlierTurn,

    /// <summary>The assistant's last turn.</summary>
    Response,

    /// <summary>End tokens up to the end of the last canvas.</summary>
    Fill,

    /// <summary>What lies beyond the maximum length and is lost.</summary>
    Cut,
}
