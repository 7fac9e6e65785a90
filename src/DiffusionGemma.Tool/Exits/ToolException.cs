namespace DiffusionGemma;

/// <summary>A failure whose exit code is known where it happens.</summary>
/// <param name="code">One of <see cref="ExitCode"/>.</param>
/// <param name="message">The fault, and what to do.</param>
/// <param name="inner">What was thrown; null: nothing.</param>
internal sealed class ToolException(int code, string message, Exception? inner = null) : Exception(message, inner)
{
    public int Code => code;
}
