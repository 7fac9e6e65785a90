namespace DiffusionGemma.Soak;

/// <summary>Amount of work of a slice.</summary>
/// <param name="Done">Answers or rows.</param>
/// <param name="Cancelled">Answers that were begun and ended cancelled.</param>
internal readonly record struct Work(long Done, long Cancelled = 0);
