using System.CommandLine;

namespace DiffusionGemma;

/// <summary>The tool: reads the command line, runs the command, and turns failures into exit codes.</summary>
internal static class ToolProgram
{
    /// <summary>Runs a command line.</summary>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        string[] arguments, TextWriter standardOutput, TextWriter standardError, bool hasOutputTerminal, bool hasErrorTerminal)
    {
        // Read before the rest, so that errors of the command line itself come as it asks.
        bool isJson = arguments.TakeWhile(argument => argument != "--").Contains(CommonOptions.JsonName);
        var output = new ToolOutput(standardOutput, standardError, isJson, hasOutputTerminal, hasErrorTerminal);
        using var interruption = new Interruption(output);
        var configuration = new InvocationConfiguration
        {
            Output = standardOutput, Error = standardError, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null,
        };
        try
        {
            if (!HasWorkingFolder()) return Fail(
                output, ExitCode.Usage, "The working directory is gone: change to a folder that exists.");
            ParseResult parsed = RootCommandFactory.Create(new CommandContext(output, interruption)).Parse(arguments);
            if (UsageErrors.Find(parsed) is { } wrong) return Fail(output, ExitCode.Usage, wrong);
            return OfSignal(await parsed.InvokeAsync(configuration, interruption.Token), interruption);
        }
        catch (OperationCanceledException)
        {
            return Fail(output, interruption.Code, "Stopped.");
        }
        catch (AggregateException errors) when (errors.InnerExceptions.Count == 1)
        {
            return Fail(output, errors.InnerExceptions[0], interruption);
        }
        catch (Exception error) when (error is not StackOverflowException)
        {
            return Fail(output, error, interruption);
        }
    }

    /// <summary>False where it was deleted: then no relative path leads anywhere, and libraries end the process.</summary>
    private static bool HasWorkingFolder()
    {
        try
        {
            return Directory.Exists(Environment.CurrentDirectory);
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Returns the code of the signal that ended the work, in place of Ctrl+C's.</summary>
    private static int OfSignal(int code, Interruption interruption) => code == ExitCode.Cancelled ? interruption.Code : code;

    private static int Fail(ToolOutput output, Exception error, Interruption interruption) =>
        Fail(
            output, OfSignal(FailureKind.CodeOf(error), interruption),
            FailureKind.IsExpected(error) ? FailureKind.MessageOf(error) : error.ToString());

    private static int Fail(ToolOutput output, int code, string message)
    {
        output.Fail(message);
        try
        {
            output.Emit(new { Event = "error", Code = code, Message = message });
        }
        catch (IOException)
        {
            // Perhaps of standard output itself: the code says the rest.
        }
        return code;
    }
}
