using Spectre.Console;

namespace DiffusionGemma;

/// <summary>Reads messages and commands until the input ends.</summary>
internal sealed class ChatPrompt(ChatSession session, ToolOutput output, bool isTerminal)
{
    private const string Quotes = "\"\"\"", FileCommand = "/file ";

    private const string Help = """"
        /system TEXT   instructions for the model; without a text, none
        /seed N        other draws
        /file PATH     sends what the file holds
        /clear         forgets the conversation
        /quit          ends; so does Ctrl+C, which ends an answer first
        Lines between two lines of triple quotes (""") are one message.
        """";

    private static readonly string[] Commands = ["/system", "/seed", "/file", "/clear", "/quit", "/help"];

    /// <returns>The exit code of the last answer.</returns>
    public async Task<int> RunAsync()
    {
        if (isTerminal) output.Say($"{session.ModelName}: /help lists the commands; Ctrl+C ends an answer.");
        int code = ExitCode.Success;
        while (ReadMessage() is { } message)
        {
            if (message is "/quit") return ExitCode.Success;
            if (message is ['/', ..] && !message.StartsWith(FileCommand, StringComparison.Ordinal)) output.Say(Command(message));
            else if (!string.IsNullOrWhiteSpace(message) && Content(message) is { } content) code = await session.AskAsync(content);
        }
        return code;
    }

    /// <summary>The next line, or lines between triple quotes; null at the end of the input.</summary>
    private string? ReadMessage()
    {
        if (isTerminal) output.Screen.Markup("[green]>[/] ");
        string? line = Console.ReadLine();
        if (line?.TrimEnd() != Quotes) return line;
        var lines = new List<string>();
        while (Console.ReadLine() is { } next && next.TrimEnd() != Quotes) lines.Add(next);
        return string.Join('\n', lines);
    }

    private string? Content(string message)
    {
        if (!message.StartsWith(FileCommand, StringComparison.Ordinal)) return message;
        try
        {
            return File.ReadAllText(RegularFile.Require(message[FileCommand.Length..].Trim()));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            output.Fail(FailureKind.MessageOf(error));
            return null;
        }
    }

    private string Command(string line)
    {
        switch (line.Split(' ', 2, StringSplitOptions.TrimEntries))
        {
            case ["/clear"]:
                int count = session.Messages;
                session.Clear();
                return $"{count} messages are forgotten";
            case ["/system", .. var rest]:
                session.System = rest is [{ Length: > 0 } text] ? text : null;
                return session.System is null ? "no instructions" : "these are the instructions from now on";
            case ["/seed", var number] when long.TryParse(number, out long seed):
                session.Seed = seed;
                return $"seed {seed}";
            case ["/help", ..]:
                return Help;
            case [var name, ..]:
                return $"{name} is not understood.{NearestName.Hint(name, Commands)}\n{Help}";
            default:
                return Help;
        }
    }
}
