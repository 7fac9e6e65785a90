namespace DiffusionGemma;

/// <summary>Text of the answer proper; it holds no control token.</summary>
/// <param name="Text">One or more characters.</param>
public sealed record AnswerText(string Text) : AnswerPart;
