namespace DiffusionGemma;

/// <summary>A row of the output.</summary>
/// <param name="Asked">The question, or the messages as JSON; null where the row could not be read.</param>
/// <param name="Others">What the input's row has beside it.</param>
/// <param name="Answer">The answer, or why there is none.</param>
internal readonly record struct TableRow(string? Asked, IReadOnlyList<OtherValue> Others, AnsweredRow Answer);
