namespace DiffusionGemma;

/// <summary>Treatment of an answer's reasoning (its thought channels) in training.</summary>
public enum ReasoningTraining
{
    /// <summary>
    /// The model learns to write the reasoning too, with the control tokens around it, even where the template's <c>{% generation %}</c>
    /// blocks begin behind it.
    /// </summary>
    Train,

    /// <summary>The model sees the reasoning, and does not learn to write it.</summary>
    Ignore,
}
