namespace DiffusionGemma;

/// <summary>The conversation in which a text is given and a typed answer is asked for: the same in training and in scoring.</summary>
/// <param name="Instructions">The system message; null: none.</param>
/// <param name="Schema">The schema that the prompt tells the model; null: it does not.</param>
internal sealed record TypedPrompt(string? Instructions, string? Schema)
{
    /// <summary>The system message, null where there is nothing to say.</summary>
    public string? SystemText() => (Instructions, Schema) switch
    {
        (var instructions, null) => string.IsNullOrEmpty(instructions) ? null : instructions,
        // In the words of the chat client, so that a model that was tuned here knows them there.
        var (instructions, schema) => (string.IsNullOrEmpty(instructions) ? "" : instructions + "\n\n")
            + $"Answer with JSON only, which conforms to this schema:\n{schema}",
    };

    /// <summary>A row of the Messages column.</summary>
    /// <param name="text">The text.</param>
    /// <param name="answer">What is to be learned; null: it is asked for.</param>
    public string ToJson(string text, string? answer = null) => ChatRows.ToJson(text, answer, SystemText());

    /// <summary>Token ids of the prompt.</summary>
    /// <exception cref="ChatException">The template refuses it.</exception>
    public int[] Encode(ChatTokenizer tokenizer, string text) => tokenizer.EncodePrompt(ChatConversation.Parse(ToJson(text)));
}
