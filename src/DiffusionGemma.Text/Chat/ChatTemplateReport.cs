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

    /// <summary>
    /// A sentence on the two prompts where they differ; null where they do not. <see cref="ChatTokenizerOptions.TrainOnGenerationPrompt"/>
    /// settles it.
    /// </summary>
    public string? PromptNotice { get; init; }

    /// <summary>
    /// A sentence where the template's <c>{% generation %}</c> blocks do not hold the answer, so that nothing would be learned; else null.
    /// </summary>
    public string? UnlearnedAnswer { get; init; }

    /// <summary>
    /// A sentence where the template marks no answers and its prompt is not how an answered conversation begins, so that answered rows are
    /// refused; else null. A copy with <c>{% generation %}</c> tags settles it.
    /// </summary>
    public string? RefusedAnswers { get; init; }

    /// <summary>Warnings to read before training, a sentence or two each, that of the prompts among them; usually none.</summary>
    public IReadOnlyList<string> Notices { get; init; } = [];
}
