namespace DiffusionGemma;

/// <summary>A row of the output.</summary>
/// <param name="Asked">The question, or the messages as JSON; null where the row could not be read.</param>
/// <param name="Answer">What was answered.</param>
internal readonly record struct TableRow(string? Asked, AnsweredRow Answer);
