using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.AI;
using Spectre.Console;

namespace DiffusionGemma;

/// <summary>A conversation, and how its next answer is shown.</summary>
internal sealed class ChatSession(IChatClient client, ChatSettings settings, ToolOutput output)
{
    private readonly DiffusionGemmaTokenizer _tokenizer = client.GetRequiredService<DiffusionGemmaTokenizer>();
    private readonly List<ChatMessage> _history = [];
    private CancellationTokenSource? _answering;

    public string? System { get; set; } = settings.System;

    public long Seed { get; set; } = settings.Seed;

    public int Messages => _history.Count;

    public string ModelName => client.GetRequiredService<ChatClientMetadata>().DefaultModelId ?? "";

    private bool IsLive => output.HasOutputTerminal && !output.IsJson;

    /// <summary>Ends the answer that is on its way; false where there is none.</summary>
    public bool TryCancel()
    {
        if (_answering is not { } answering) return false;
        answering.Cancel();
        return true;
    }

    public void Clear() => _history.Clear();

    /// <summary>Answers a question and shows the answer: live on a terminal, as plain text elsewhere.</summary>
    /// <remarks>Returns the exit code of the process so far.</remarks>
    public async Task<int> AskAsync(string question)
    {
        using var cancellation = new CancellationTokenSource();
        _answering = cancellation;
        _history.Add(new ChatMessage(ChatRole.User, question));
        var view = new CanvasView(_tokenizer);
        List<ChatResponseUpdate> updates = [];
        var clock = Stopwatch.StartNew();
        int code = 0;
        try
        {
            if (IsLive) await ReadLiveAsync(view, updates, cancellation.Token);
            else await ReadAsync(updates, cancellation.Token, update => Write(ConsoleText.Safe(update.Text)));
        }
        catch (OperationCanceledException)
        {
            code = ExitCode.Cancelled;
        }
        catch (Exception error) when (error is ArgumentException or FormatException or NotSupportedException or InvalidOperationException)
        {
            // Nothing was answered: the conversation is as it was.
            _history.RemoveAt(_history.Count - 1);
            output.Fail(FailureKind.MessageOf(error));
            return ExitCode.Data;
        }
        finally
        {
            _answering = null;
        }

        ChatResponse answer = updates.ToChatResponse();
        if (!IsLive) Write(Environment.NewLine);
        else if (view.Committed() is { Length: > 0 } text)
        {
            output.Screen.Write(text);
            output.Screen.WriteLine();
        }
        if (output.IsJson) Emit(answer, code);
        if (answer.Text.Length > 0) _history.AddMessages(answer);
        else _history.RemoveAt(_history.Count - 1);
        string cancelled = answer.Text.Length > 0 ? "cancelled; what was committed is kept" : "cancelled";
        output.Say(code != 0 ? cancelled : Figures(answer, clock.Elapsed));
        return code;
    }

    private Task ReadLiveAsync(CanvasView view, List<ChatResponseUpdate> updates, CancellationToken cancellation)
    {
        // Where an answer is higher than the terminal, its end is seen.
        LiveDisplay live = output.Screen.Live(new Spectre.Console.Text("")).AutoClear(true).Overflow(VerticalOverflow.Ellipsis)
            .Cropping(VerticalOverflowCropping.Top);
        return live.StartAsync(shown => ReadAsync(updates, cancellation, update =>
        {
            if (update.RawRepresentation is DraftUpdate draft) shown.UpdateTarget(view.Show(draft));
            else view.Commit(update);
        }));
    }

    private async Task ReadAsync(List<ChatResponseUpdate> updates, CancellationToken cancellation, Action<ChatResponseUpdate> show)
    {
        var options = new ChatOptions
        {
            Instructions = System, Seed = Seed, Temperature = settings.Temperature,
            MaxOutputTokens = settings.MaxNewTokens
        };
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(_history, options, cancellation))
        {
            show(update);
            if (update.RawRepresentation is not DraftUpdate) updates.Add(update);
            else if (settings.Pause > 0) await Task.Delay(settings.Pause, cancellation);
        }
    }

    private static string Figures(ChatResponse answer, TimeSpan time)
    {
        UsageDetails usage = answer.Usage ?? new UsageDetails();
        long tokens = usage.OutputTokenCount ?? 0, steps = usage.AdditionalCounts?[DiffusionGemmaChatClient.StepCount] ?? 0;
        string cut = answer.FinishReason == ChatFinishReason.Length ? "; cut, --max-new-tokens asks for more" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{usage.InputTokenCount} tokens in, {tokens} out, {steps} steps, {tokens / (double)Math.Max(1, steps):F2} tokens per "
                + $"forward, {time.TotalSeconds:F1} s{cut}");
    }

    private void Write(string text)
    {
        if (!output.IsJson) output.Out.Write(text);
    }

    private void Emit(ChatResponse answer, int code) => output.Emit(new
    {
        Event = "answer", Text = answer.Text, FinishReason = code == 0 ? answer.FinishReason?.Value : "cancelled",
        answer.Usage?.InputTokenCount, answer.Usage?.OutputTokenCount,
        Steps = answer.Usage?.AdditionalCounts?[DiffusionGemmaChatClient.StepCount],
    });
}
