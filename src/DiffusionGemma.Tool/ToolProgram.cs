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
            ParseResult parsed = RootCommandFactory.Create(new CommandContext(output, interruption)).Parse(arguments);
            if (UsageErrors.Find(parsed) is { } wrong) return Fail(output, ExitCode.Usage, wrong);
            return await parsed.InvokeAsync(configuration, interruption.Token);
        }
        catch (OperationCanceledException)
        {
            return Fail(output, ExitCode.Cancelled, "Stopped.");
        }
        catch (AggregateException errors) when (errors.InnerExceptions.Count == 1)
        {
            return Fail(output, errors.InnerExceptions[0]);
        }
        catch (Exception error) when (error is not StackOverflowException)
        {
            return Fail(output, error);
        }
    }

    private static int Fail(ToolOutput output, Exception error) =>
        Fail(output, FailureKind.CodeOf(error), FailureKind.IsExpected(error) ? error.Message : error.ToString());

    private static int Fail(ToolOutput output, int code, string message)
    {
        output.Fail(message);
        output.Emit(new { Event = "error", Code = code, Message = message });
        return code;
    }
}
