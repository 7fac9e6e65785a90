namespace DiffusionGemma;

/// <summary>Ranks could not go on together: one failed (then <see cref="Exception.InnerException"/> says how), did not come, or called another collective.</summary>
public sealed class ProcessGroupException : Exception
{
    internal ProcessGroupException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
