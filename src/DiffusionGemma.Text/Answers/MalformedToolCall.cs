namespace DiffusionGemma;

/// <summary>A tool call that cannot be read, or is not allowed.</summary>
/// <param name="Reason">Why, as a clause without a full stop.</param>
/// <param name="Text">What the model wrote between the call's control tokens.</param>
public sealed record MalformedToolCall(string Reason, string Text) : AnswerPart;
