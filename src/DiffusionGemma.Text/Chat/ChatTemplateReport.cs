namespace DiffusionGemma;

/// <summary>Findings about a chat template that do not depend on any row, from rendering a plain question and answer.</summary>
public sealed record ChatTemplateReport
{
    /// <summary>
    /// True if the template's end of turn is outside its <c>{% generation %}</c> blocks: the model will not learn to end its turn.
    /// </summary>
    public bool LeavesOutEndOfTurn { get; init; }

    /// <summary>The prompt before an answer in training; null where the template cannot write a plain question and answer.</summary>
    public string? TrainedPrompt { get; init; }

    /// <summary>The prompt that an answer is asked with; null where the template cannot write a plain question.</summary>
    public string? AskedPrompt { get; init; }

    /// <summary>True if the model is asked with another prompt than it is trained on.</summary>
    public bool PromptsDiffer => TrainedPrompt is not null && AskedPrompt is not null && TrainedPrompt != AskedPrompt;

    /// <summary>Warnings to read before training, a sentence or two each; usually none.</summary>
    public IReadOnlyList<string> Notices { get; init; } = [];
}
