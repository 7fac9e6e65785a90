namespace DiffusionGemma;

/// <summary>A run that cannot start on its data and options, or cannot go on.</summary>
public class TrainingException : InvalidOperationException
{
    /// <summary>An error with its message: the row, step or option at fault, and what to do.</summary>
    public TrainingException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
