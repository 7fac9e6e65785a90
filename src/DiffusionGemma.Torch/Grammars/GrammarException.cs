namespace DiffusionGemma;

/// <summary>A grammar that cannot be read, has no answer, or does not fit its limits.</summary>
/// <param name="message">The fault and the way out.</param>
/// <param name="path">The part at fault: a path in the schema, a position in the pattern; null where it is the whole.</param>
public sealed class GrammarException(string message, string? path = null) : Exception(message)
{
    /// <summary>The part at fault, such as <c>#/properties/name</c> or <c>position 4</c>; null where it is the whole grammar.</summary>
    public string? Path { get; } = path;
}
