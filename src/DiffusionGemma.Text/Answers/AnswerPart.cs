namespace DiffusionGemma;

/// <summary>
/// A part of a model's answer: <see cref="AnswerText"/>, <see cref="AnswerReasoning"/>, <see cref="AnswerToolCall"/> or
/// <see cref="MalformedToolCall"/>.
/// </summary>
public abstract record AnswerPart
{
    private protected AnswerPart()
    {
    }
}
