using System.Runtime.CompilerServices;
using DiffusionGemma.Chat;
using Microsoft.Extensions.AI;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// DiffusionGemma behind Microsoft.Extensions.AI's <see cref="IChatClient"/>: histories, tools, thoughts, streaming. Any number of callers at once;
/// they are answered in one batch. It keeps no conversation: give the whole history each time.
/// </summary>
/// <remarks>
/// <para>A stream has an update for each finished canvas, and what it says never changes: drafts are not text yet (see
/// <see cref="DiffusionGemmaChatOptions.StreamDrafts"/>). The last update has the finish reason and the <see cref="UsageContent"/>, which
/// counts decoder passes too (<see cref="StepCount"/>): output tokens over them are the tokens per forward.</para>
/// <para><see cref="ChatOptions"/>:</para>
/// <list type="bullet">
/// <item>Instructions, and system messages at the beginning: one system turn. MaxOutputTokens, TopP, TopK and Seed are those of <see cref="GenerationOptions"/>;
/// without a Seed the same prompt gets the same answer. Temperature is that of every step, 0 draws nothing; null is the checkpoint's schedule.</item>
/// <item>Tools: functions, as the chat template's <c>tools</c>. ToolMode None declares none, and a call is an error content; Required pins
/// the tokens that begin a call. AllowMultipleToolCalls false ends the answer with its first call.</item>
/// <item>Reasoning: an Effort is the template argument <c>enable_thinking</c> (false for None), without degrees; Output None leaves thoughts out.
/// AdditionalProperties are template arguments.</item>
/// <item>StopSequences end the text; ResponseFormat JSON is asked for in the system turn, and not enforced.</item>
/// <item>RawRepresentationFactory may give <see cref="GenerationOptions"/>: what is set in them goes before the rest. Other objects are ignored.</item>
/// <item>ConversationId, ContinuationToken, another ModelId, penalties, reasoning summaries, tools that are no functions, and images or other data in messages
/// are refused (<see cref="NotSupportedException"/>). AllowBackgroundResponses is ignored.</item>
/// </list>
/// <para>The model's tool calls are <see cref="FunctionCallContent"/>s, thoughts <see cref="TextReasoningContent"/>s; no control token is ever in a text. A call
/// that cannot be read is an <see cref="ErrorContent"/> with the code <see cref="MalformedCallCode"/> and what the model wrote.</para>
/// </remarks>
public sealed class DiffusionGemmaChatClient : IChatClient
{
    /// <summary>The <see cref="ErrorContent.ErrorCode"/> of a tool call that cannot be used.</summary>
    public const string MalformedCallCode = "malformed_tool_call";

    /// <summary>The <see cref="UsageDetails.AdditionalCounts"/> of decoder passes.</summary>
    public const string StepCount = "Steps";

    private const string Provider = "diffusiongemma";
    private readonly IGenerationEngine _engine;
    private readonly ChatTokenizer _tokenizer;
    private readonly ChatRequestReader _requests;
    private readonly ChatClientMetadata _metadata;
    private readonly string _modelId;
    private readonly bool _streamsDrafts;
    private readonly DiffusionGemmaModel? _model;
    private readonly IDisposable?[] _owned;
    private int _disposed;

    /// <summary>Answers with a loaded model, which stays its owner's; while the client lives, nobody else may use it.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="tokenizer">The checkpoint's tokenizer and chat template.</param>
    /// <param name="options">Null: the checkpoint's own values.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public DiffusionGemmaChatClient(DiffusionGemmaModel model, ChatTokenizer tokenizer, DiffusionGemmaChatOptions? options = null)
        : this(Engine(model, options), tokenizer, NamedAfter(model.Folder, options), model)
    {
    }

    internal DiffusionGemmaChatClient(IGenerationEngine engine, ChatTokenizer tokenizer, DiffusionGemmaChatOptions options, DiffusionGemmaModel? model = null, params IDisposable?[] owned)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_engine, _tokenizer, _model, _owned) = (engine, tokenizer, model, owned);
        (_modelId, _streamsDrafts) = (options.ModelId ?? Provider, options.StreamDrafts);
        _requests = new ChatRequestReader(tokenizer, _modelId);
        _metadata = new ChatClientMetadata(Provider, defaultModelId: _modelId);
    }

    /// <summary>Loads a checkpoint to chat with; disposing the client frees it.</summary>
    /// <param name="folder">A Hugging Face folder with weights, tokenizer.json and chat template.</param>
    /// <param name="options">Null: the checkpoint's own values.</param>
    /// <param name="adapter">A PEFT folder to add to it.</param>
    /// <param name="device">Null: the CPU.</param>
    /// <param name="dtype">Null: the checkpoint's.</param>
    /// <exception cref="CheckpointException">The checkpoint is malformed.</exception>
    /// <exception cref="AdapterException">The adapter is malformed, or does not fit.</exception>
    /// <exception cref="FileNotFoundException">A file of the tokenizer is missing.</exception>
    public static DiffusionGemmaChatClient Load(
        string folder, DiffusionGemmaChatOptions? options = null, string? adapter = null, torch.Device? device = null, torch.ScalarType? dtype = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        // What is quickly read, and quickly found missing, first.
        ChatTokenizer tokenizer = ChatTokenizer.Load(folder, new ChatTokenizerOptions { EscapeSpecialTokens = options?.EscapeSpecialTokens ?? false });
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(folder, device, dtype);
        LoraAdapter? lora = null;
        try
        {
            if (adapter is not null) model.Adapter = lora = LoraAdapter.Load(adapter, model);
            return new DiffusionGemmaChatClient(Engine(model, options), tokenizer, NamedAfter(folder, options), model, lora, model);
        }
        catch
        {
            lora?.Dispose();
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">Messages or options make no sense, or the prompt is too long for the model.</exception>
    /// <exception cref="NotSupportedException">They ask for what this model cannot do.</exception>
    /// <exception cref="ChatException">The chat template refuses the conversation.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; looked at before every decoder pass.</exception>
    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Stream(messages, options, drafts: false, cancellationToken).ToChatResponseAsync(cancellationToken);
    }

    /// <inheritdoc/>
    /// <inheritdoc cref="GetResponseAsync" path="/exception"/>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Stream(messages, options, _streamsDrafts, cancellationToken);
    }

    /// <summary>
    /// This client, its <see cref="ChatClientMetadata"/>, <see cref="DiffusionGemmaModel"/>, <see cref="ChatTokenizer"/>,
    /// <see cref="DiffusionGemmaTokenizer"/> or <see cref="ChatTemplate"/>; null for other types, and for any key.
    /// </summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        object?[] services = [this, _metadata, _model, _tokenizer, _tokenizer.Tokenizer, _tokenizer.Template];
        return services.FirstOrDefault(serviceType.IsInstanceOfType);
    }

    /// <summary>Ends the running answers with an <see cref="ObjectDisposedException"/>, and frees the model if the client loaded it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _engine.Dispose();
        foreach (IDisposable? owned in _owned) owned?.Dispose();
    }

    private async IAsyncEnumerable<ChatResponseUpdate> Stream(
        IEnumerable<ChatMessage> messages, ChatOptions? options, bool drafts, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ChatRequest request = _requests.Read(this, messages, options);
        var parser = new ResponseParser(_tokenizer.Tokenizer, request.Parsing);
        string id = $"response_{Guid.NewGuid():N}";
        DateTimeOffset created = DateTimeOffset.UtcNow;
        GenerationResult? result = null;
        int steps = 0;
        await foreach (GenerationUpdate update in _engine.StreamAsync(request.Generation, cancellation).ConfigureAwait(false))
        {
            switch (update)
            {
                case DraftUpdate when drafts:
                    ChatResponseUpdate draft = Update([]);
                    draft.RawRepresentation = update;
                    yield return draft;
                    break;
                case CanvasUpdate canvas:
                    steps += canvas.Steps;
                    if (parser.Append(canvas.Ids) is { Count: > 0 } contents) yield return Update(contents);
                    break;
                case CompletedUpdate completed:
                    result = completed.Result;
                    break;
            }
            if (parser.Ended) break;
        }
        bool isCut = !parser.Ended && result?.Finish == FinishReason.Length;
        IList<AIContent> last = parser.Finish();
        last.Add(new UsageContent(new UsageDetails
        {
            InputTokenCount = request.Generation.Prompt.Length,
            OutputTokenCount = parser.Tokens,
            TotalTokenCount = request.Generation.Prompt.Length + parser.Tokens,
            ReasoningTokenCount = parser.ThoughtTokens,
            AdditionalCounts = new AdditionalPropertiesDictionary<long> { [StepCount] = steps },
        }));
        ChatResponseUpdate final = Update(last);
        final.FinishReason = parser.CallsTools ? ChatFinishReason.ToolCalls : isCut ? ChatFinishReason.Length : ChatFinishReason.Stop;
        yield return final;

        ChatResponseUpdate Update(IList<AIContent> contents) => new(ChatRole.Assistant, contents) { ResponseId = id, MessageId = id, ModelId = _modelId, CreatedAt = created };
    }

    private static QueueEngine Engine(DiffusionGemmaModel model, DiffusionGemmaChatOptions? options)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new DiffusionGemmaChatOptions();
        return new QueueEngine(new GenerationQueue(model, options.Generation, options.BatchSize));
    }

    private static DiffusionGemmaChatOptions NamedAfter(string folder, DiffusionGemmaChatOptions? options)
    {
        options ??= new DiffusionGemmaChatOptions();
        return options.ModelId is not null ? options : options with { ModelId = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))) };
    }
}
