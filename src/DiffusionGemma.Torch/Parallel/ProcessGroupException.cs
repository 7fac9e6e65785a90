namespace DiffusionGemma;

/// <summary>
/// The exception of every rank of a group in which one failed (then <see cref="Exception.InnerException"/> is its error), did not come in
/// time or called another collective.
/// </summary>
public sealed class ProcessGroupException : Exception
{
    internal ProcessGroupException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
