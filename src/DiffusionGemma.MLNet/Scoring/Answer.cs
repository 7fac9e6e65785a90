namespace DiffusionGemma;

/// <summary>The model's answer for one row, or the fault that prevented it.</summary>
/// <param name="Content">The answer in its parts.</param>
/// <param name="Ids">Its token ids.</param>
/// <param name="TokensPerForward">Tokens for each decoder pass.</param>
/// <param name="Steps">Decoder passes.</param>
/// <param name="Fault">Why there is no answer; null where there is one.</param>
internal sealed record Answer(ParsedAnswer Content, int[] Ids, float TokensPerForward, int Steps, ChatDataException? Fault = null)
{
    private static readonly ParsedAnswer Nothing = ParsedAnswer.FromParts([]);

    /// <summary>Under a grammar of labels, their probabilities in its order; empty otherwise.</summary>
    public IReadOnlyList<double> LabelScores { get; init; } = [];

    /// <summary>Values that were read from the answer, one a column; empty where none were asked for.</summary>
    public object[] Values { get; init; } = [];

    /// <summary>The tool calls as JSON; empty where there are none.</summary>
    public string ToolCalls => Content.ToolCallsJson();

    /// <summary>The reason without the position; empty where there is an answer.</summary>
    public string Error => Fault?.Reason ?? "";

    /// <exception cref="ChatDataException">The row cannot be answered, and the options say that this is an error.</exception>
    public Answer OrThrow(AnswerOptions options) => Fault is null || options.GivesErrors ? this : throw Fault;

    public static Answer Failed(ChatDataException fault) => new(Nothing, [], 0, 0, fault);
}
