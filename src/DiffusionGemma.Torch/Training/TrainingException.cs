namespace DiffusionGemma;

/// <summary>
/// A run that cannot start on its data and options, or cannot go on. Properties name what is at fault, where it is known.
/// </summary>
public class TrainingException : InvalidOperationException
{
    /// <summary>An error with its message: the row, step or option at fault, and what to do.</summary>
    public TrainingException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }

    /// <summary>Index of the row at fault.</summary>
    public int? Row { get; init; }

    /// <summary>The step that failed, counted from 0.</summary>
    public int? Step { get; init; }

    /// <summary>The option at fault: "FineTuneOptions.WarmupSteps".</summary>
    public string? Option { get; init; }

    /// <summary>The file or folder at fault.</summary>
    public string? Path { get; init; }
}
