namespace DiffusionGemma;

/// <summary>The kinds of description of an <see cref="AnswerGrammar"/>.</summary>
public enum GrammarKind
{
    /// <summary>A JSON schema.</summary>
    JsonSchema,

    /// <summary>A regular expression that the whole answer matches.</summary>
    Regex,

    /// <summary>A list of labels.</summary>
    OneOf,
}
