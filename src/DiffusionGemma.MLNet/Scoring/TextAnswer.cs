namespace DiffusionGemma;

/// <summary>An answer in its parts.</summary>
/// <param name="Content">Text, thoughts and tool calls.</param>
/// <param name="Result">The answer's tokens, with the steps they took.</param>
public sealed record TextAnswer(ParsedAnswer Content, GenerationResult Result)
{
    /// <summary>The answer, without its thoughts and tool calls.</summary>
    public string Text => Content.Text;

    /// <summary>The model's thoughts; empty where it has none.</summary>
    public string Reasoning => Content.Reasoning;

    /// <summary>Tool calls as JSON in OpenAI's form; empty where there are none.</summary>
    public string ToolCalls => Content.ToolCallsJson();

    /// <summary>The text that filled each gap of an infilled response, in order; empty for other answers.</summary>
    public IReadOnlyList<string> Gaps { get; init; } = [];
}
