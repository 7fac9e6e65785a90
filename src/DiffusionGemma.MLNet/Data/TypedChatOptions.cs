using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Form of the conversations that typed rows become: the one that <c>gemma.Extract</c> and <c>gemma.Classify</c> ask in.</summary>
public sealed record TypedChatOptions
{
    /// <summary>The system message of every conversation; null: none.</summary>
    public string? Instructions { get; init; }

    /// <summary>
    /// True: the system message also holds the answer's schema, as with <see cref="ExtractionEstimator.Options.SchemaInPrompt"/>.
    /// </summary>
    public bool SchemaInPrompt { get; init; }

    /// <summary>Serialisation of inputs and answers; null: <see cref="AnswerGrammar.Serializer"/>.</summary>
    public JsonSerializerOptions? Serializer { get; init; }

    /// <summary>Limits of the grammar that answers are checked with; null: the defaults.</summary>
    public GrammarOptions? Grammar { get; init; }
}
