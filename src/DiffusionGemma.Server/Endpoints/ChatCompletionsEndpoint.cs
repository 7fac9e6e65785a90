using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>
/// <c>POST /v1/chat/completions</c>, whole or streamed. A client that goes away cancels its answer, whose row leaves the batch before the
/// next decoder pass.
/// </summary>
internal sealed partial class ChatCompletionsEndpoint(
    DiffusionGemmaService service, DiffusionGemmaServerOptions options, RequestGate gate, ILogger logger)
{
    private readonly CompletionRequestReader _reader = new(options);

    public async Task Answer(HttpContext context)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(options.Timeout);
        try
        {
            await AnswerAsync(context, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (!context.RequestAborted.IsCancellationRequested)
        {
            OpenAIError error = Describe(e);
            if (error.Status >= 500) LogFailure(e, error.Status);
            if (!context.Response.HasStarted)
            {
                await error.ToResult().ExecuteAsync(context).ConfigureAwait(false);
                return;
            }
            using var events = new EventStream(context.Response, context.RequestAborted);
            await events.WriteAsync(error.ToJson()).ConfigureAwait(false);
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // Nobody reads any more.
        }
    }

    private async Task AnswerAsync(HttpContext context, CancellationToken cancellation)
    {
        using JsonDocument body = await RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, cancellation).ConfigureAwait(false);
        CompletionRequest request = _reader.Read(body.RootElement);
        using IDisposable inside = gate.Enter(context.Response);
        DiffusionGemmaChatClient client = await service.GetClientAsync(cancellation).ConfigureAwait(false);
        request.Options.ModelId = ServedModels.ModelId(client, request.Model);
        if (options.LogsPrompts && logger.IsEnabled(LogLevel.Information)) LogPrompt(request.Messages[^1].Text);
        var writer = new CompletionWriter($"chatcmpl-{Guid.NewGuid():N}", DateTimeOffset.UtcNow, request.Model);
        ChatOptions[] choices = [.. Enumerable.Range(0, request.Choices).Select(i => OptionsOf(request, i))];
        if (request.Streams)
        {
            await StreamAsync(context.Response, client, request, choices, writer, cancellation).ConfigureAwait(false);
            return;
        }
        ChatResponse[] responses = await Task.WhenAll(choices.Select(choice =>
            client.GetResponseAsync(request.Messages, choice, cancellation))).ConfigureAwait(false);
        await Results.Json(writer.Completion(responses)).ExecuteAsync(context).ConfigureAwait(false);
    }

    private static async Task StreamAsync(
        HttpResponse response, DiffusionGemmaChatClient client, CompletionRequest request, ChatOptions[] choices, CompletionWriter writer,
        CancellationToken cancellation)
    {
        DiffusionGemmaTokenizer tokenizer = client.GetService<DiffusionGemmaTokenizer>()!;
        using var events = new EventStream(response, cancellation);
        using var together = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        UsageDetails?[] usages = await Task.WhenAll(choices.Select((_, i) => ChoiceAsync(i))).ConfigureAwait(false);
        if (request.StreamsUsage) await events.WriteAsync(writer.UsageChunk(usages)).ConfigureAwait(false);
        await events.EndAsync().ConfigureAwait(false);

        async Task<UsageDetails?> ChoiceAsync(int index)
        {
            try
            {
                return await WriteChoiceAsync(index).ConfigureAwait(false);
            }
            catch
            {
                await together.CancelAsync().ConfigureAwait(false);              // a failed choice ends the others
                throw;
            }
        }

        async Task<UsageDetails?> WriteChoiceAsync(int index)
        {
            (bool begun, int calls, UsageDetails? usage) = (false, 0, null);
            IAsyncEnumerable<ChatResponseUpdate> updates = client.GetStreamingResponseAsync(
                request.Messages, choices[index], request.StreamsDrafts, together.Token);
            await foreach (ChatResponseUpdate update in updates.ConfigureAwait(false))
            {
                // What a request is refused for comes before the first update: only then do the headers say that all is well.
                if (!begun)
                {
                    if (!response.HasStarted) await events.BeginAsync().ConfigureAwait(false);
                    await events.WriteAsync(writer.Chunk(index, new JsonObject { ["role"] = "assistant", ["content"] = "" }))
                        .ConfigureAwait(false);
                }
                begun = true;
                if (update.RawRepresentation is DraftUpdate draft)
                    await events.WriteAsync(writer.Draft(index, draft, id => tokenizer.Decode([id])), "draft").ConfigureAwait(false);
                usage = update.Contents.OfType<UsageContent>().FirstOrDefault()?.Details ?? usage;
                JsonObject delta = CompletionWriter.Message(update.Contents, calls);
                calls += update.Contents.OfType<FunctionCallContent>().Count();
                if (delta.Count > 0) await events.WriteAsync(writer.Chunk(index, delta)).ConfigureAwait(false);
                if (update.FinishReason is { } finish)
                    await events.WriteAsync(writer.Chunk(index, [], finish)).ConfigureAwait(false);
            }
            return usage;
        }
    }

    /// <summary>The options of one choice: each has a seed of its own, the first that of the request.</summary>
    private static ChatOptions OptionsOf(CompletionRequest request, int index)
    {
        ChatOptions choice = request.Options.Clone();
        choice.Seed = unchecked(request.Options.Seed + index);
        return choice;
    }

    private OpenAIError Describe(Exception error) => error switch
    {
        OpenAIError own => own,
        OperationCanceledException => new OpenAIError(
            StatusCodes.Status408RequestTimeout, $"The answer took longer than {options.Timeout.TotalSeconds:0} s.", code: "timeout"),
        ObjectDisposedException when !gate.IsStopping => new OpenAIError(
            StatusCodes.Status404NotFound, "The adapter has been unloaded.", "model", code: "model_not_found"),
        ObjectDisposedException => new OpenAIError(
            StatusCodes.Status503ServiceUnavailable, "The server is stopping.", type: "server_error", code: "server_stopping"),
        NotSupportedException or ArgumentException or ChatException => new OpenAIError(StatusCodes.Status400BadRequest, error.Message),
        _ when service.LoadFailure is not null => new OpenAIError(
            StatusCodes.Status503ServiceUnavailable, "The model could not be loaded; the server's log says why.", type: "server_error",
            code: "model_not_loaded"),
        // Its text may hold what is not the client's to know.
        _ => new OpenAIError(
            StatusCodes.Status500InternalServerError, "The answer failed; the server's log says why.", type: "server_error",
            code: "internal_error"),
    };

    [LoggerMessage(1, LogLevel.Error, "A request ended with {Status}")]
    private partial void LogFailure(Exception error, int status);

    [LoggerMessage(2, LogLevel.Information, "Asked: {Prompt}")]
    private partial void LogPrompt(string prompt);
}
