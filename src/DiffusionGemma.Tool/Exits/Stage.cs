namespace DiffusionGemma;

/// <summary>Parts of a command whose input and output errors have an exit code of their own.</summary>
internal static class Stage
{
    /// <summary>Reads rows.</summary>
    public static T Data<T>(Func<T> read) => Run(ExitCode.Data, read);

    /// <summary>Reads a checkpoint, an adapter or a saved model.</summary>
    public static T Model<T>(Func<T> read) => Run(ExitCode.Checkpoint, read);

    private static T Run<T>(int code, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or HubException or ArgumentException
            or InvalidDataException or FormatException or InvalidOperationException)
        {
            throw new ToolException(code, FailureKind.MessageOf(error), error);
        }
    }
}
