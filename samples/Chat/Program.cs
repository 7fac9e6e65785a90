// A chat in the console that shows each canvas settle. Ctrl+C ends an answer, and at the prompt the program. /help lists the commands.
using System.Text;
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.Extensions.AI;
using Spectre.Console;

const string Help = """"
    /system TEXT   instructions for the model; without a text, none
    /seed N        other draws
    /file PATH     sends what the file holds
    /clear         forgets the conversation
    /quit          ends; so does Ctrl+C, which ends an answer first
    Lines between two lines of triple quotes (""") are one message.
    """";

(Console.InputEncoding, Console.OutputEncoding) = (Encoding.UTF8, Encoding.UTF8);
if (args is ["--help" or "-h"])
{
    Console.WriteLine($"A chat in the console. {ChatArguments.Usage}\n{Help}");
    return 0;
}
if (ChatArguments.Parse(args) is not { } arguments) return 2;
bool isTerminal = !Console.IsInputRedirected && !Console.IsOutputRedirected;
try
{
    using var client = DiffusionGemmaChatClient.Load(
        arguments.Checkpoint, options: new GenerationOptions { MaxDenoisingSteps = arguments.Steps }, batchSize: 1, streamsDrafts: true,
        adapter: arguments.Adapter);
    var session = new ChatSession(client, arguments);
    Console.CancelKeyPress += (_, pressed) => pressed.Cancel = session.TryCancel();
    if (arguments.Prompt is { } prompt) return await session.AskAsync(prompt == "-" ? Console.In.ReadToEnd() : prompt);

    if (isTerminal)
    {
        string name = client.GetRequiredService<ChatClientMetadata>().DefaultModelId ?? "";
        AnsiConsole.MarkupLineInterpolated($"[bold]{name}[/] [grey]/help lists the commands; Ctrl+C ends an answer[/]");
    }
    int code = 0;
    while (ReadMessage() is { } message)
    {
        if (message is "/quit") return 0;
        if (message is ['/', ..] && !message.StartsWith("/file ", StringComparison.Ordinal)) Command(session, message);
        else if (!string.IsNullOrWhiteSpace(message) && Content(message) is { } content) code = await session.AskAsync(content);
    }
    return code;
}
catch (Exception error) when (error is IOException or FormatException or ArgumentException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}

// The next line, or lines between triple quotes; null at the end of the input.
string? ReadMessage()
{
    const string Quotes = "\"\"\"";
    if (isTerminal) AnsiConsole.Markup("[green]>[/] ");
    string? line = Console.ReadLine();
    if (line?.TrimEnd() != Quotes) return line;
    var lines = new List<string>();
    while (Console.ReadLine() is { } next && next.TrimEnd() != Quotes) lines.Add(next);
    return string.Join('\n', lines);
}

static string? Content(string message)
{
    if (!message.StartsWith("/file ", StringComparison.Ordinal)) return message;
    try
    {
        return File.ReadAllText(message["/file ".Length..].Trim());
    }
    catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
    {
        Console.Error.WriteLine(error.Message);
        return null;
    }
}

void Command(ChatSession session, string line)
{
    string reply = Help;
    switch (line.Split(' ', 2, StringSplitOptions.TrimEntries))
    {
        case ["/clear"]:
            reply = $"{session.Messages} messages are forgotten";
            session.Clear();
            break;
        case ["/system", .. var rest]:
            session.System = rest is [{ Length: > 0 } text] ? text : null;
            reply = session.System is null ? "no instructions" : "these are the instructions from now on";
            break;
        case ["/seed", var number] when long.TryParse(number, out long seed):
            session.Seed = seed;
            reply = $"seed {seed}";
            break;
    }
    (isTerminal ? Console.Out : Console.Error).WriteLine(reply);
}
