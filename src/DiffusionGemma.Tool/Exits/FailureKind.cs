namespace DiffusionGemma;

/// <summary>The exit code of an exception.</summary>
internal static class FailureKind
{
    private const string OutOfMemory = "not enough memory", OutOfDeviceMemory = "out of memory";

    public static int CodeOf(Exception error) => error switch
    {
        OperationCanceledException => ExitCode.Cancelled,
        ToolException known => known.Code,
        MemoryBudgetException or OutOfMemoryException or PlatformNotSupportedException or DllNotFoundException => ExitCode.Device,
        _ when IsOutOfMemory(error) => ExitCode.Device,
        RecipeException or ArgumentException => ExitCode.Usage,
        TrainingException training => CodeOf(training),
        CheckpointException or AdapterException or InvalidConfigurationException or HubException => ExitCode.Checkpoint,
        FormatException or ChatException or IOException or UnauthorizedAccessException or InvalidDataException => ExitCode.Data,
        _ => ExitCode.Failure,
    };

    /// <summary>True where the message says all that a user needs; else the stack is worth showing.</summary>
    public static bool IsExpected(Exception error) => CodeOf(error) != ExitCode.Failure || error is TrainingException;

    /// <summary>The message in the tool's words, without the name of a method's parameter, which its users do not see.</summary>
    public static string MessageOf(Exception error) => ToolWords.Of(error is ArgumentException { ParamName: { } parameter }
        ? error.Message.Replace($" (Parameter '{parameter}')", "", StringComparison.Ordinal) : error.Message);

    private static int CodeOf(TrainingException error) => error switch
    {
        { Path: not null } => ExitCode.Checkpoint,
        { Step: not null } => ExitCode.Failure,
        { Row: not null } => ExitCode.Data,
        { Option: not null } => ExitCode.Usage,
        _ => ExitCode.Data,
    };

    private static bool IsOutOfMemory(Exception? error)
    {
        for (; error is not null; error = error.InnerException)
            if (error.Message.Contains(OutOfMemory, StringComparison.OrdinalIgnoreCase)
                || error.Message.Contains(OutOfDeviceMemory, StringComparison.OrdinalIgnoreCase)) return true;
        return false;
    }
}
