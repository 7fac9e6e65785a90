// A chat in the console that shows each canvas settle. Ctrl+C ends an answer, and at the prompt the program. /help lists the commands.
using DiffusionGemma;
using DiffusionGemma.Samples;
using Microsoft.Extensions.AI;
using Spectre.Console;

Console.OutputEncoding = System.Text.Encoding.UTF8;
ChatArguments? arguments = ChatArguments.Parse(args, new ChatArguments { Checkpoint = Repository.File("datasets", "tiny-chat") });
if (arguments is null) return 2;

using var client = DiffusionGemmaChatClient.Load(
    arguments.Checkpoint, options: new GenerationOptions { MaxNewTokens = arguments.MaxNewTokens, MaxDenoisingSteps = arguments.Steps }, batchSize: 1, streamsDrafts: true);
DiffusionGemmaTokenizer tokenizer = client.GetService<ChatTokenizer>()!.Tokenizer;
var history = new List<ChatMessage>();
string? system = arguments.System;
long seed = arguments.Seed;
CancellationTokenSource? answering = null;
Console.CancelKeyPress += (_, pressed) =>
{
    if (answering is null) return;
    pressed.Cancel = true;
    answering.Cancel();
};

if (arguments.Prompt is not null) return await Answer(arguments.Prompt) ? 0 : 1;
AnsiConsole.MarkupLine($"[bold]{Markup.Escape(client.GetService<ChatClientMetadata>()!.DefaultModelId!)}[/] [grey]{Markup.Escape(DiffusionGemmaRuntime.Describe().Split('\n')[0])}[/]");
AnsiConsole.MarkupLine("[grey]/help lists the commands; Ctrl+C ends an answer[/]");
while (true)
{
    AnsiConsole.Markup("[green]> [/]");
    string? line = Console.ReadLine();
    if (line is null or "/quit") return 0;
    if (line.Length == 0) continue;
    if (!line.StartsWith('/')) await Answer(line);
    else Command(line);
}

void Command(string line)
{
    string[] words = line.Split(' ', 2, StringSplitOptions.TrimEntries);
    switch (words)
    {
        case ["/clear"]:
            history.Clear();
            AnsiConsole.MarkupLine("[grey]the conversation is empty[/]");
            break;
        case ["/system", var text]:
            system = text.Length > 0 ? text : null;
            break;
        case ["/system"]:
            system = null;
            break;
        case ["/seed", var number] when long.TryParse(number, out seed):
            break;
        default:
            AnsiConsole.MarkupLine("[grey]/system TEXT   instructions for the model, or none\n/seed N        other draws\n/clear         forget the conversation\n/quit[/]");
            break;
    }
}

async Task<bool> Answer(string question)
{
    history.Add(new ChatMessage(ChatRole.User, question));
    using var cancellation = new CancellationTokenSource();
    answering = cancellation;
    var view = new CanvasView(tokenizer);
    var updates = new List<ChatResponseUpdate>();
    var options = new ChatOptions { Instructions = system, Seed = seed };
    var clock = System.Diagnostics.Stopwatch.StartNew();
    bool interactive = !Console.IsOutputRedirected;
    try
    {
        if (interactive) await AnsiConsole.Live(new Text("")).AutoClear(true).StartAsync(async live => await Read(draft => live.UpdateTarget(view.Show(draft))));
        else await Read(null);
    }
    catch (OperationCanceledException)
    {
        AnsiConsole.MarkupLine("[yellow]cancelled[/]");
        history.RemoveAt(history.Count - 1);
        return false;
    }
    catch (Exception e) when (e is ChatException or ArgumentException or NotSupportedException or InvalidOperationException)
    {
        AnsiConsole.MarkupLine($"[red]{Markup.Escape(e.Message)}[/]");
        history.RemoveAt(history.Count - 1);
        return false;
    }
    finally
    {
        answering = null;
    }
    ChatResponse response = updates.ToChatResponse();
    history.AddMessages(response);
    if (interactive)
    {
        AnsiConsole.Write(view.Result());
        AnsiConsole.WriteLine();
        long tokens = response.Usage?.OutputTokenCount ?? 0;
        AnsiConsole.MarkupLine($"[grey]{response.Usage?.InputTokenCount} tokens in, {tokens} out, {view.Steps} passes, {(double)tokens / Math.Max(1, view.Steps):F1} tokens a pass, {tokens / clock.Elapsed.TotalSeconds:F0} tokens/s[/]");
    }
    return true;

    async Task Read(Action<DraftUpdate>? draft)
    {
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(history, options, cancellation.Token))
        {
            updates.Add(update);
            if (update.RawRepresentation is DraftUpdate step) draft?.Invoke(step);
            if (update.RawRepresentation is CanvasUpdate canvas) view.Commit(canvas);
            if (draft is null) Console.Write(update.Text);
        }
        if (draft is null) Console.WriteLine();
    }
}
