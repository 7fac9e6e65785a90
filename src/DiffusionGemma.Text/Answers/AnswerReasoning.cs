namespace DiffusionGemma;

/// <summary>Text of a thought channel, without the channel's name.</summary>
/// <param name="Text">One or more characters.</param>
public sealed record AnswerReasoning(string Text) : AnswerPart;
