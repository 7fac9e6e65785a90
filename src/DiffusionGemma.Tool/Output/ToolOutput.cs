using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace DiffusionGemma;

/// <summary>
/// The tool's output: results on standard output (with <c>--json</c> one JSON object a line), everything else on standard error.
/// </summary>
internal sealed class ToolOutput
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly Lock _lock = new();
    private readonly TerminalWriter _out, _error;
    private bool _isLossTold;

    /// <param name="output">Standard output.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="isJson">True for results as JSON.</param>
    /// <param name="hasOutputTerminal">True where standard output is a terminal.</param>
    /// <param name="hasErrorTerminal">True where standard error is a terminal: progress is a bar there.</param>
    public ToolOutput(TextWriter output, TextWriter error, bool isJson, bool hasOutputTerminal, bool hasErrorTerminal)
    {
        _out = new TerminalWriter(output, "Standard output");
        // A note that is lost is no reason to end a run.
        _error = new TerminalWriter(error, "Standard error") { IgnoresErrors = true };
        (IsJson, HasOutputTerminal, HasErrorTerminal) = (isJson, hasOutputTerminal, hasErrorTerminal);
        Screen = Create(_out, hasOutputTerminal);
        Status = Create(_error, hasErrorTerminal);
    }

    public bool IsJson { get; }

    public bool HasOutputTerminal { get; }

    public bool HasErrorTerminal { get; }

    /// <summary>Standard output with styles, for results that are more than lines.</summary>
    public IAnsiConsole Screen { get; }

    /// <summary>Standard error with styles, for progress bars.</summary>
    public IAnsiConsole Status { get; }

    /// <summary>Standard output as it is.</summary>
    public TextWriter Out => _out;

    /// <summary>Writes a result: the text, or with <c>--json</c> the object.</summary>
    public void Result(string text, object json)
    {
        lock (_lock) _out.WriteLine(IsJson ? JsonSerializer.Serialize(json, Json) : text);
    }

    /// <summary>Writes an object with <c>--json</c>, and nothing without.</summary>
    public void Emit(object json)
    {
        if (!IsJson) return;
        lock (_lock) _out.WriteLine(JsonSerializer.Serialize(json, Json));
    }

    /// <summary>
    /// Writes an object with <c>--json</c> for work of hours, which goes on where standard output cannot be written, as on a full disk.
    /// A note says so once. Writing the result at the end still fails the command.
    /// </summary>
    public void EmitOrGoOn(object json)
    {
        try
        {
            Emit(json);
        }
        catch (IOException error)
        {
            if (!Interlocked.Exchange(ref _isLossTold, true)) Say($"note: {error.Message} The work goes on; lines are missing there.");
        }
    }

    /// <summary>Writes a line that is worth knowing, but no result.</summary>
    public void Say(string text)
    {
        lock (_lock)
        {
            if (HasErrorTerminal) Status.WriteLine(ConsoleText.Safe(text));
            else _error.WriteLine(text);
        }
    }

    /// <summary>Writes what went wrong.</summary>
    public void Fail(string text)
    {
        lock (_lock)
        {
            if (HasErrorTerminal) Status.WriteLine(ConsoleText.Safe(text), new Style(Color.Red));
            else _error.WriteLine(text);
        }
    }

    /// <summary>Goes on without a terminal that is gone; output to a file or a pipe still has to succeed.</summary>
    public void IgnoreErrors() => _out.IgnoresErrors = HasOutputTerminal;

    /// <summary>Shows the cursor again, which a progress bar hides until it ends.</summary>
    public void RestoreTerminal()
    {
        const string ShowCursor = "\u001b[?25h";
        if (HasErrorTerminal) _error.WriteLine(ShowCursor);
        else if (HasOutputTerminal) _out.WriteLine(ShowCursor);
    }

    /// <summary>Formats numbers in the same way everywhere.</summary>
    public static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static IAnsiConsole Create(TextWriter writer, bool isTerminal) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Out = new TerminalOutput(writer, isTerminal),
        Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
        Interactive = isTerminal ? InteractionSupport.Detect : InteractionSupport.No,
    });
}
