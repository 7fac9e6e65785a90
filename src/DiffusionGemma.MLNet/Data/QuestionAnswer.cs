namespace DiffusionGemma;

/// <summary>A question in plain text with its answer.</summary>
/// <param name="Question">The user's message.</param>
/// <param name="Answer">The assistant's message; null: the question is to be answered.</param>
/// <param name="System">A message before the question; null: none.</param>
public sealed record QuestionAnswer(string Question, string? Answer = null, string? System = null)
{
    internal IReadOnlyList<ConversationMessage> Messages =>
    [
        .. System is null ? [] : new ConversationMessage[] { new("system", System) },
        new("user", Question),
        .. Answer is null ? [] : new ConversationMessage[] { new("assistant", Answer) },
    ];
}
