namespace DiffusionGemma;

/// <summary>The reason why a row is no conversation; the caller adds file and row.</summary>
internal sealed class InvalidRowException(string reason, Exception? inner = null) : Exception(reason, inner)
{
    /// <summary>The key that the row lacks; null where something else is at fault.</summary>
    public string? MissingColumn { get; init; }
}
