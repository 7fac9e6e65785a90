using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// DiffusionGemma behind Microsoft.Extensions.AI's <see cref="IChatClient"/>: histories, tools, thoughts, streaming. Any number of callers
/// at once; they are answered in one batch. It keeps no conversation: give the whole history each time.
/// </summary>
/// <remarks>
/// <para>A stream has an update for each finished canvas, and what it says never changes: drafts are not text yet (see
/// <see cref="StreamsDrafts"/>). The last update has the finish reason and the <see cref="UsageContent"/>, which
/// counts decoder passes too (<see cref="StepCount"/>): output tokens over them are the tokens per forward.</para>
/// <para><see cref="ChatOptions"/>:</para>
/// <list type="bullet">
/// <item>Instructions, and system messages at the beginning: one system turn. MaxOutputTokens, TopP, TopK and Seed are those of
/// <see cref="GenerationOptions"/>; without a Seed the same prompt gets the same answer. Temperature is that of every step, 0 draws
/// nothing; null is the checkpoint's schedule.</item>
/// <item>Tools: functions, as the chat template's <c>tools</c>. ToolMode None declares none, and a call is an error content; Required pins
/// the tokens that begin a call. AllowMultipleToolCalls false ends the answer with its first call.</item>
/// <item>Reasoning: an Effort is the template argument <c>enable_thinking</c> (false for None), without degrees; Output None leaves
/// thoughts out. AdditionalProperties: <c>chat_template_kwargs</c>, an object, are more template arguments; other properties are not looked
/// at.</item>
/// <item>StopSequences end the text. ResponseFormat JSON is asked for in the system turn; with a schema the answer is an instance of it, by
/// <see cref="AnswerGrammar"/>; beside tools it may be calls with arguments of their schemas instead.</item>
/// <item>RawRepresentationFactory may give <see cref="GenerationOptions"/>: what is set in them goes before the rest. Other objects are
/// ignored.</item>
/// <item>ModelId is the client's own, or names one of its <see cref="Adapters"/>.</item>
/// <item>ConversationId, ContinuationToken, an unknown ModelId, penalties, reasoning summaries, tools that are no functions, and images or
/// other data in messages are refused (<see cref="NotSupportedException"/>). AllowBackgroundResponses is ignored.</item>
/// </list>
/// <para>The model's tool calls are <see cref="FunctionCallContent"/>s, thoughts <see cref="TextReasoningContent"/>s; no control token is
/// ever in a text. A call that cannot be read is an <see cref="ErrorContent"/> with the code <see cref="MalformedCallCode"/> and what the
/// model wrote.</para>
/// </remarks>
public sealed class DiffusionGemmaChatClient : IChatClient
{
    /// <summary>The <see cref="ErrorContent.ErrorCode"/> of a tool call that cannot be used.</summary>
    public const string MalformedCallCode = AnswerContents.MalformedCallCode;

    /// <summary>The <see cref="UsageDetails.AdditionalCounts"/> of decoder passes.</summary>
    public const string StepCount = "Steps";

    private readonly IAnswerEngine _engine;
    private readonly ChatTokenizer _tokenizer;
    private readonly ChatRequestReader _requests;
    private readonly ChatClientMetadata _metadata;
    private readonly ConcurrentDictionary<string, LoraAdapter> _adapters;
    private readonly bool _ownsEngine = true;
    private int _disposed;

    /// <summary>Answers through a queue.</summary>
    /// <param name="queue">A queue over a loaded model.</param>
    /// <param name="tokenizer">The checkpoint's tokenizer and chat template.</param>
    /// <param name="modelId">What the model is called in responses and telemetry.</param>
    /// <param name="ownsQueue">True if disposing the client disposes the queue.</param>
    /// <param name="escapesUserText">
    /// True, the default: the text of a control token in users' messages, definitions of tools, their results and the arguments of earlier
    /// calls stays text, so that none can end its turn or open another. False: it becomes the control token, unless the tokenizer's own
    /// options say otherwise.
    /// System messages are the application's, and keep their control tokens.
    /// </param>
    public DiffusionGemmaChatClient(
        GenerationQueue queue, ChatTokenizer tokenizer, string? modelId = null, bool ownsQueue = false, bool escapesUserText = true)
        : this(new QueueEngine(queue ?? throw new ArgumentNullException(nameof(queue)), ownsQueue), tokenizer, modelId, escapesUserText)
    {
    }

    internal DiffusionGemmaChatClient(IAnswerEngine engine, ChatTokenizer tokenizer, string? modelId, bool escapesUserText = true)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ChatTokenizer prompts = escapesUserText && !tokenizer.Options.EscapeSpecialTokens
            ? new ChatTokenizer(tokenizer.Tokenizer, tokenizer.Template, tokenizer.Options with { EscapeUserText = true }) : tokenizer;
        _adapters = new ConcurrentDictionary<string, LoraAdapter>(StringComparer.Ordinal);
        (_engine, _tokenizer, _requests) = (engine, tokenizer, new ChatRequestReader(prompts, modelId, _adapters));
        _metadata = new ChatClientMetadata("diffusiongemma", defaultModelId: modelId);
    }

    private DiffusionGemmaChatClient(DiffusionGemmaChatClient other, LoraAdapter? adapter, string modelId)
    {
        (_engine, _ownsEngine, _tokenizer, _adapters) = (other._engine, false, other._tokenizer, other._adapters);
        _requests = other._requests.WithAdapter(adapter, modelId);
        _metadata = new ChatClientMetadata("diffusiongemma", defaultModelId: modelId);
        (StreamsDrafts, ConstrainsToolCalls) = (other.StreamsDrafts, other.ConstrainsToolCalls);
    }

    /// <summary>
    /// Adapters by the names that <see cref="ChatOptions.ModelId"/> may have: a request that names one is answered with it, in the batch of
    /// all others, and its response has that ModelId. May be changed at any time, by any thread. The client does not own them; one that is
    /// removed and disposed is kept until the requests that run with it have ended. The model's own name is not looked up here.
    /// </summary>
    /// <example>
    /// <code>
    /// client.Adapters["math"] = LoraAdapter.Load("adapters/math", model);
    /// await client.GetResponseAsync("What is 8 plus 7?", new ChatOptions { ModelId = "math" });
    /// </code>
    /// </example>
    public IDictionary<string, LoraAdapter> Adapters => _adapters;

    /// <summary>
    /// A client whose requests are answered with another adapter, through the queue of this one and with its settings and <see
    /// cref="Adapters"/>. It owns nothing: it works as long as this client does.
    /// </summary>
    /// <param name="adapter">Null: the model's own adapter; <see cref="LoraAdapter.None"/>: the base model alone.</param>
    /// <param name="modelId">What the model with this adapter is called in requests, responses and telemetry.</param>
    public DiffusionGemmaChatClient WithAdapter(LoraAdapter? adapter, string modelId)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelId);
        return new DiffusionGemmaChatClient(this, adapter, modelId);
    }

    /// <summary>
    /// Sentences about what was loaded in another way than it is stored, or has no effect: of the weights, the tokenizer and the model's
    /// own adapter; usually none. Those of <see cref="Adapters"/> are their own (<see cref="LoraAdapter.Notices"/>).
    /// </summary>
    public IReadOnlyList<string> Notices => (_engine as QueueEngine)?.Queue.Model is { } model
        ? [.. model.Notices, .. _tokenizer.Notices, .. model.Adapter?.Notices ?? []] : _tokenizer.Notices;

    /// <summary>
    /// True if streams also report every denoising step, by an update without contents whose
    /// <see cref="ChatResponseUpdate.RawRepresentation"/> is a <see cref="DraftUpdate"/>. False: updates append committed text alone.
    /// </summary>
    public bool StreamsDrafts { get; init; }

    /// <summary>
    /// True if calls of tools keep to their schemas also where no schema of the answer is asked for: the answer is then a text, or calls in
    /// Gemma's own syntax. False, the default: such answers are free, because a language of all texts costs every pass a reading of the
    /// whole vocabulary on the CPU. A schema of the answer beside tools is always obeyed: the answer is an instance of it, or calls.
    /// </summary>
    public bool ConstrainsToolCalls { get; init; }

    /// <summary>Loads a checkpoint; the client owns the model, and frees it when it is disposed.</summary>
    /// <param name="checkpoint">A Hugging Face folder: weights, tokenizer and chat template; or its id on the Hub.</param>
    /// <param name="device">Null: the first CUDA device, or the CPU where there is none.</param>
    /// <param name="dtype">Null: bfloat16 on CUDA, float32 on the CPU.</param>
    /// <param name="options">For all requests, where their own are null.</param>
    /// <param name="batchSize">Requests answered together.</param>
    /// <param name="streamsDrafts">See <see cref="StreamsDrafts"/>.</param>
    /// <param name="adapter">A PEFT folder to add to the model, or its id on the Hub; <see cref="Notices"/> names what of
    /// it has no effect.</param>
    /// <param name="hub">The Hub and its cache; null: as the environment says.</param>
    /// <param name="escapesUserText">As for the constructor: users' text and tool results bring no control tokens.</param>
    /// <param name="chatTemplate">The file of a chat template of one's own; null: the checkpoint's.</param>
    /// <param name="quantization">Rounds the weights of an unquantised checkpoint to 8 or 4 bits on loading.</param>
    /// <exception cref="HubException">The Hub does not give the checkpoint or the adapter.</exception>
    /// <exception cref="CheckpointException">The folder is no checkpoint that can be read.</exception>
    /// <exception cref="AdapterException">The adapter cannot be read, or does not fit.</exception>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer or chat template.</exception>
    /// <exception cref="InvalidDataException">Its tokenizer, template or generation_config.json is broken or not supported.</exception>
    public static DiffusionGemmaChatClient Load(
        string checkpoint, torch.Device? device = null, torch.ScalarType? dtype = null, GenerationOptions? options = null,
        int batchSize = 8, bool streamsDrafts = false,
        string? adapter = null, HubOptions? hub = null, bool escapesUserText = true, string? chatTemplate = null,
        Quantization quantization = Quantization.None)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        checkpoint = FindFolder(checkpoint, hub);
        if (adapter is not null) adapter = FindFolder(adapter, hub);
        device ??= DiffusionGemmaRuntime.DefaultDevice;
        // What is quickly read, and quickly found missing, comes first.
        ChatTokenizer tokenizer = ChatTokenizer.Load(checkpoint, chatTemplate);
        dtype ??= DiffusionGemmaRuntime.DefaultPrecision(device);
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(checkpoint, device, dtype, quantization);
        LoraAdapter? lora = null;
        try
        {
            if (adapter is not null) model.Adapter = lora = LoraAdapter.Load(adapter, model);
            var engine = new QueueEngine(new GenerationQueue(model, options, batchSize), ownsQueue: true, lora, model);
            return new DiffusionGemmaChatClient(engine, tokenizer, NameOf(checkpoint), escapesUserText) { StreamsDrafts = streamsDrafts };
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
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
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
        return Stream(messages, options, StreamsDrafts, cancellationToken);
    }

    /// <summary>The same, with or without drafts in this one stream, whatever <see cref="StreamsDrafts"/> says.</summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">How to answer.</param>
    /// <param name="streamsDrafts">True: every denoising step is an update without contents too.</param>
    /// <param name="cancellationToken">Looked at before every decoder pass.</param>
    /// <inheritdoc cref="GetResponseAsync" path="/exception"/>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options, bool streamsDrafts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Stream(messages, options, streamsDrafts, cancellationToken);
    }

    /// <summary>
    /// This client, its <see cref="ChatClientMetadata"/>, <see cref="GenerationQueue"/>, <see cref="DiffusionGemmaModel"/>,
    /// <see cref="ChatTokenizer"/>, <see cref="DiffusionGemmaTokenizer"/> or <see cref="ChatTemplate"/>; null for other types, and for any
    /// key.
    /// </summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        GenerationQueue? queue = (_engine as QueueEngine)?.Queue;
        object?[] services = [this, _metadata, queue, queue?.Model, _tokenizer, _tokenizer.Tokenizer, _tokenizer.Template];
        return services.FirstOrDefault(serviceType.IsInstanceOfType);
    }

    /// <summary>Frees what the client owns: running answers then end with <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0 && _ownsEngine) _engine.Dispose();
    }

    /// <summary>The model's name: its id on the Hub, or its folder's name.</summary>
    internal static string NameOf(string folder) => HubId.TryFromSnapshot(folder, out HubId? id)
        ? id.Repository : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));

    /// <summary>Finds a folder, which is downloaded where an id names it and it is not in the cache.</summary>
    private static string FindFolder(string folderOrId, HubOptions? hub) => HubRepository.IsId(folderOrId)
        ? HubRepository.DownloadAsync(folderOrId, hub).GetAwaiter().GetResult() : folderOrId;

    private async IAsyncEnumerable<ChatResponseUpdate> Stream(
        IEnumerable<ChatMessage> messages, ChatOptions? options, bool drafts, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        ChatRequest request = _requests.Read(this, messages, options, ConstrainsToolCalls);
        AnswerParser parser = new(_tokenizer.Tokenizer, request.Generation.Prompt, request.Parsing);
        string id = $"response_{Guid.NewGuid():N}";
        DateTimeOffset created = DateTimeOffset.UtcNow;
        GenerationResult? result = null;
        int steps = 0;
        await foreach (GenerationUpdate update in _engine.StreamAsync(request.Generation, cancellation).ConfigureAwait(false))
        {
            switch (update)
            {
                case DraftUpdate when drafts:
                    yield return Update([], update);
                    break;
                case CanvasUpdate canvas:
                    steps += canvas.Steps;
                    if (Contents(parser.Append(canvas.Ids)) is { Count: > 0 } contents) yield return Update(contents, update);
                    break;
                case CompletedUpdate completed:
                    result = completed.Result;
                    break;
            }
            if (parser.HasEnded) break;
        }
        List<AIContent> last = Contents(parser.Complete());
        last.Add(new UsageContent(new UsageDetails
        {
            InputTokenCount = request.Generation.Prompt.Length,
            OutputTokenCount = parser.TokenCount,
            TotalTokenCount = request.Generation.Prompt.Length + parser.TokenCount,
            ReasoningTokenCount = parser.ReasoningTokenCount,
            AdditionalCounts = new AdditionalPropertiesDictionary<long> { [StepCount] = steps },
        }));
        ChatResponseUpdate final = Update(last, result);
        final.FinishReason = parser.CallsTools
            ? ChatFinishReason.ToolCalls : result?.Finish == FinishReason.Length ? ChatFinishReason.Length : ChatFinishReason.Stop;
        yield return final;

        List<AIContent> Contents(IEnumerable<AnswerPart> parts) => AnswerContents.Map(parts, request.KeepsReasoning);

        ChatResponseUpdate Update(IList<AIContent> contents, object? raw) => new(ChatRole.Assistant, contents)
        {
            ResponseId = id, MessageId = id, ModelId = request.ModelId, CreatedAt = created, RawRepresentation = raw,
        };
    }
}
