namespace DiffusionGemma;

/// <summary>The part of a row that a token belongs to.</summary>
public enum ChatPart
{
    /// <summary>System, user and tool messages, and the template's text around them.</summary>
    Prompt,

    /// <summary>An assistant turn before the last, which training reads as prompt.</summary>
    EarlierTurn,

    /// <summary>The assistant's last turn.</summary>
    Response,

    /// <summary>End tokens up to the end of the last canvas.</summary>
    Fill,

    /// <summary>Tokens beyond the maximum length, which are lost.</summary>
    Cut,
}
