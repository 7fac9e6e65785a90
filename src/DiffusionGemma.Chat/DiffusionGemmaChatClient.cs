using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>
/// A DiffusionGemma model as an <see cref="IChatClient"/>: history, instructions, tools and options in, text, reasoning and tool calls out, whole or
/// as they are committed, canvas by canvas. Any number of callers may use one client; their requests share a batch.
/// </summary>
/// <remarks>
/// <list type="table">
/// <item><term>Temperature, TopK, TopP, Seed, MaxOutputTokens</term><description>of <see cref="GenerationOptions"/>; a temperature holds for all steps</description></item>
/// <item><term>StopSequences</term><description>end the text before the sequence</description></item>
/// <item><term>Tools</term><description>functions, as the chat template writes them; a call cannot be required</description></item>
/// <item><term>ResponseFormat</term><description>JSON is asked for in the system turn; nothing enforces it</description></item>
/// <item><term>RawRepresentationFactory</term><description>may return <see cref="GenerationOptions"/>, for what the framework has no name for</description></item>
/// <item><term>AdditionalProperties["chat_template_kwargs"]</term><description>goes to the chat template; other properties are not looked at</description></item>
/// <item><term>FrequencyPenalty, PresencePenalty, ConversationId, another ModelId</term><description>a <see cref="NotSupportedException"/></description></item>
/// </list>
/// </remarks>
public sealed class DiffusionGemmaChatClient : IChatClient
{
    private readonly IAnswerEngine _engine;
    private readonly ChatTokenizer _tokenizer;
    private readonly ChatClientMetadata _metadata;
    private readonly HashSet<int> _silent;
    private bool _disposed;

    /// <summary>Answers through a queue.</summary>
    /// <param name="queue">A queue over a loaded model.</param>
    /// <param name="tokenizer">The checkpoint's.</param>
    /// <param name="modelId">What the model is called in responses.</param>
    /// <param name="ownsQueue">Whether disposing the client disposes the queue.</param>
    public DiffusionGemmaChatClient(GenerationQueue queue, ChatTokenizer tokenizer, string? modelId = null, bool ownsQueue = false)
        : this(new QueueEngine(queue ?? throw new ArgumentNullException(nameof(queue)), null, ownsQueue), tokenizer, modelId)
    {
    }

    internal DiffusionGemmaChatClient(IAnswerEngine engine, ChatTokenizer tokenizer, string? modelId)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_engine, _tokenizer) = (engine, tokenizer);
        _metadata = new ChatClientMetadata("diffusiongemma", defaultModelId: modelId);
        // Control tokens say nothing; the markers among them do.
        _silent = [.. tokenizer.Tokenizer.ControlTokens.Where(token => !GemmaOutputParser.IsMarker(token.Key)).Select(token => token.Value)];
    }

    /// <summary>
    /// Whether streams also tell of every denoising step: by an update without contents, whose <see cref="ChatResponseUpdate.RawRepresentation"/> is a
    /// <see cref="DraftUpdate"/>. False: updates append committed text alone.
    /// </summary>
    public bool StreamsDrafts { get; init; }

    /// <summary>Loads a checkpoint; the client owns the model, and frees it when it is disposed.</summary>
    /// <param name="checkpoint">A Hugging Face folder.</param>
    /// <param name="device">Null: the first CUDA device, or the CPU where there is none.</param>
    /// <param name="dtype">Null: bfloat16 on CUDA, float32 on the CPU.</param>
    /// <param name="options">For all requests, where their own are null.</param>
    /// <param name="batchSize">Requests answered together.</param>
    /// <param name="streamsDrafts">See <see cref="StreamsDrafts"/>.</param>
    /// <exception cref="CheckpointException">The folder is no checkpoint that can be read.</exception>
    /// <exception cref="InvalidDataException">Its tokenizer, template or generation_config.json is broken or not supported.</exception>
    public static DiffusionGemmaChatClient Load(
        string checkpoint, torch.Device? device = null, torch.ScalarType? dtype = null, GenerationOptions? options = null, int batchSize = 8, bool streamsDrafts = false)
    {
        device ??= DiffusionGemmaRuntime.DefaultDevice;
        ChatTokenizer tokenizer = ChatTokenizer.Load(checkpoint);
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(checkpoint, device, dtype ?? (device.type == DeviceType.CUDA ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32));
        try
        {
            var queue = new GenerationQueue(model, options, batchSize);
            string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoint)));
            return new DiffusionGemmaChatClient(new QueueEngine(queue, model, ownsQueue: true), tokenizer, name) { StreamsDrafts = streamsDrafts };
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        await GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">An option or a content cannot be honoured; the message names it.</exception>
    /// <exception cref="ChatException">The chat template refuses the conversation.</exception>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ObjectDisposedException.ThrowIf(_disposed, this);
        GenerationOptions generation = ChatGenerationOptions.Of(options, this, _metadata.DefaultModelId);
        ChatConversation conversation = ChatConversation.Parse(ConversationWriter.Write(messages, options));
        if (conversation.IsAnswered)
            throw new ArgumentException("The last message is the assistant's, and there is nothing to answer: end with the user's or a tool's.", nameof(messages));
        int[] prompt = _tokenizer.Encode(conversation).Ids;

        string responseId = Guid.NewGuid().ToString("N"), messageId = Guid.NewGuid().ToString("N");
        ChatResponseUpdate Update(IList<AIContent> contents, GenerationUpdate? raw) => new(ChatRole.Assistant, contents)
        {
            ResponseId = responseId, MessageId = messageId, ModelId = _metadata.DefaultModelId, CreatedAt = DateTimeOffset.UtcNow, RawRepresentation = raw,
        };
        var answer = new AnswerReader(_tokenizer.Tokenizer, _silent, options);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var request = new GenerationRequest(prompt) { Options = generation };
        int tokens = 0;
        bool cut = false;
        await foreach (GenerationUpdate update in _engine.StreamAsync(request, enough.Token).ConfigureAwait(false))
        {
            if (update is DraftUpdate && StreamsDrafts) yield return Update([], update);
            if (update is CanvasUpdate canvas)
            {
                tokens += canvas.Ids.Length;
                IList<AIContent> contents = answer.Read(canvas.Ids);
                if (contents.Count > 0) yield return Update(contents, update);
                if (answer.IsOver) break;                                                       // a stop sequence, or the one call that is allowed
            }
            if (update is CompletedUpdate completed) cut = completed.Result.Finish == FinishReason.Length;
        }
        List<AIContent> last = [.. answer.Rest(), new UsageContent(new UsageDetails { InputTokenCount = prompt.Length, OutputTokenCount = tokens, TotalTokenCount = prompt.Length + tokens })];
        ChatResponseUpdate end = Update(last, null);
        end.FinishReason = answer.HasCalls ? ChatFinishReason.ToolCalls : cut ? ChatFinishReason.Length : ChatFinishReason.Stop;
        yield return end;
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(ChatTokenizer) ? _tokenizer
            : serviceType == typeof(GenerationQueue) ? (_engine as QueueEngine)?.Queue
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Frees what the client owns: the model and queue that <see cref="Load"/> made. Running answers end with <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _engine.Dispose();
    }
}
