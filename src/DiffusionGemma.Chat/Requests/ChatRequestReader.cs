using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// Messages and options to a request. Every member of <see cref="ChatOptions"/> is honoured, refused, or here said to be ignored:
/// <see cref="ChatOptions.AllowBackgroundResponses"/> is a permission that is not used.
/// </summary>
internal sealed class ChatRequestReader
{
    private const string CallOpen = "<|tool_call>", DroppedResult = "content of tool";

    private readonly ChatTokenizer _prompts;
    private readonly AnswerGrammars _grammars;
    private readonly string? _modelId;
    private readonly LoraAdapter? _adapter;
    private readonly IReadOnlyDictionary<string, LoraAdapter> _adapters;

    /// <param name="prompts">Writes prompts.</param>
    /// <param name="modelId">The model's name.</param>
    /// <param name="adapters">Adapters by the names that requests may call them by; may change at any time. Null: none.</param>
    public ChatRequestReader(ChatTokenizer prompts, string? modelId, IReadOnlyDictionary<string, LoraAdapter>? adapters = null)
        : this(prompts, new AnswerGrammars(prompts), modelId, null, adapters ?? new Dictionary<string, LoraAdapter>())
    {
    }

    private ChatRequestReader(
        ChatTokenizer prompts, AnswerGrammars grammars, string? modelId, LoraAdapter? adapter,
        IReadOnlyDictionary<string, LoraAdapter> adapters) =>
        (_prompts, _grammars, _modelId, _adapter, _adapters) = (prompts, grammars, modelId, adapter, adapters);

    /// <summary>Creates a reader whose requests are answered with another adapter, under another name.</summary>
    public ChatRequestReader WithAdapter(LoraAdapter? adapter, string modelId) => new(_prompts, _grammars, modelId, adapter, _adapters);

    /// <param name="client">Argument of <see cref="ChatOptions.RawRepresentationFactory"/>.</param>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">How to answer; not changed.</param>
    /// <param name="constrainsCalls">Whether calls keep to their tools' schemas where no schema of the answer is asked for.</param>
    /// <exception cref="ArgumentException">Messages or options make no sense.</exception>
    /// <exception cref="NotSupportedException">They ask for what this model cannot do.</exception>
    /// <exception cref="ChatException">The chat template refuses the conversation.</exception>
    public ChatRequest Read(IChatClient client, IEnumerable<ChatMessage> messages, ChatOptions? options, bool constrainsCalls = false)
    {
        options ??= new ChatOptions();
        RefuseUnsupported(options);
        (LoraAdapter? adapter, string? name) = AdapterOf(options.ModelId);
        AIFunctionDeclaration[] tools = options.ToolMode is NoneChatToolMode ? [] : [.. (options.Tools ?? []).Select(DeclarationOf)];
        int[] prompt = Encode([.. messages], options, tools);
        GenerationOptions generation = GenerationOptionsOf(client, options);
        // The tokens that begin a required call; a grammar of the request requires the whole.
        Dictionary<int, int>? pinned = PinnedCall(options.ToolMode, tools);
        if (generation.Grammar is not null) generation = generation with { Vocabulary = generation.Vocabulary ?? _grammars.Vocabulary };
        else if (_grammars.Read(options, prompt, tools, constrainsCalls) is { } grammar)
        {
            generation = generation with { Grammar = grammar, Vocabulary = _grammars.Vocabulary };
            pinned = null;
        }
        return new ChatRequest(
            new GenerationRequest(prompt) { Options = generation, Pinned = pinned, Adapter = adapter },
            new AnswerParserOptions
            {
                StopSequences = StopSequences(options),
                AllowsToolCalls = options.ToolMode is not NoneChatToolMode,
                EndsWithFirstToolCall = options.AllowMultipleToolCalls == false,
            },
            KeepsReasoning: options.Reasoning?.Output is not ReasoningOutput.None, name);
    }

    private int[] Encode(ChatMessage[] messages, ChatOptions options, AIFunctionDeclaration[] tools)
    {
        ChatException? refusal = null;
        bool hasResults = ConversationWriter.HasResults(messages), isDropped = false;
        foreach (CallForms forms in CallForms.All)
        {
            ChatConversation conversation = ConversationWriter.Write(
                messages, SystemText(options), tools, TemplateArguments(options), forms);
            try
            {
                if (!hasResults || !_prompts.Template.FindIgnoredKeys(conversation).Contains(DroppedResult))
                    return _prompts.EncodePrompt(conversation);
                isDropped = true;
            }
            // The template would write a value as Python prints it.
            catch (ChatException exception) when (exception.Key is { } key && (key.Contains("].content", StringComparison.Ordinal)
                || key.Contains(".arguments", StringComparison.Ordinal)))
            {
                refusal ??= exception;
            }
        }
        if (refusal is not null && !isDropped) throw refusal;
        throw new ArgumentException(
            "The chat template does not write a tool's result that the messages hold: its call, with the same CallId, must stand before "
            + "it.", nameof(messages));
    }

    private void RefuseUnsupported(ChatOptions options)
    {
        static void Refuse(bool refused, string option, string reason)
        {
            if (refused) throw new NotSupportedException($"ChatOptions.{option} {reason}");
        }

        Refuse(options.ConversationId is not null, nameof(options.ConversationId),
            "is set: no conversation is kept here. Give the whole history as messages.");
        Refuse(options.ContinuationToken is not null, nameof(options.ContinuationToken),
            "is set: there are no background responses to go on with.");
        const string NoPenalty = "is not supported: a canvas has no order in which tokens were written. Leave it null.";
        Refuse(options.FrequencyPenalty is not (null or 0), nameof(options.FrequencyPenalty), NoPenalty);
        Refuse(options.PresencePenalty is not (null or 0), nameof(options.PresencePenalty), NoPenalty);
        Refuse(options.Reasoning?.Output is ReasoningOutput.Summary, "Reasoning.Output",
            "is Summary: nothing here summarises thoughts. Ask for Full or None.");
    }

    /// <summary>Finds the adapter that a request's ModelId names; without one it is this reader's own.</summary>
    private (LoraAdapter? Adapter, string? Name) AdapterOf(string? asked)
    {
        if (asked is null || asked == _modelId) return (_adapter, _modelId);
        if (_adapters.TryGetValue(asked, out LoraAdapter? adapter)) return (adapter, asked);
        string known = string.Join(", ", _adapters.Keys.Order(StringComparer.Ordinal).Prepend(_modelId).Select(name => $"'{name}'"));
        throw new NotSupportedException($"ChatOptions.ModelId is '{asked}': this client knows {known}.");
    }

    private static IReadOnlyList<string> StopSequences(ChatOptions options) => options.StopSequences switch
    {
        null => [],
        { } stops when stops.Any(string.IsNullOrEmpty) =>
            throw new ArgumentException("ChatOptions.StopSequences holds an empty text.", nameof(options)),
        { } stops => [.. stops],
    };

    private static AIFunctionDeclaration DeclarationOf(AITool? tool) => tool switch
    {
        AIFunctionDeclaration function => function,
        null => throw new ArgumentException("ChatOptions.Tools holds a null."),
        _ => throw new NotSupportedException(
            $"ChatOptions.Tools: '{tool.Name}' is a {tool.GetType().Name}: only functions (AIFunctionDeclaration) can be called."),
    };

    private static IEnumerable<string> SystemText(ChatOptions options)
    {
        if (options.Instructions is { Length: > 0 } instructions) yield return instructions;
        if (options.ResponseFormat is not ChatResponseFormatJson json) yield break;
        // Asked for in words too: a model that expects the form settles in fewer steps.
        string about = string.Join(", ", new[] { json.SchemaName, json.SchemaDescription }.Where(text => !string.IsNullOrEmpty(text)));
        yield return json.Schema is { } schema
            ? $"Answer with JSON only, which conforms to this schema{(about.Length > 0 ? $" ({about})" : "")}:\n{schema}"
            : "Answer with JSON only.";
    }

    private static IEnumerable<KeyValuePair<string, object?>> TemplateArguments(ChatOptions options)
    {
        const string More = "chat_template_kwargs";
        if (options.Reasoning?.Effort is { } effort) yield return new("enable_thinking", effort != ReasoningEffort.None);
        // Last, because the caller's own word counts.
        if (options.AdditionalProperties?.TryGetValue(More, out object? arguments) == true) yield return new(More, arguments);
    }

    private static GenerationOptions GenerationOptionsOf(IChatClient client, ChatOptions options)
    {
        if (options.Temperature is { } temperature && !(float.IsFinite(temperature) && temperature >= 0))
            throw new ArgumentOutOfRangeException(nameof(options), temperature, "ChatOptions.Temperature is not a number from 0.");
        GenerationOptions asked = new()
        {
            TMin = Exact(options.Temperature),
            TMax = Exact(options.Temperature),
            TopP = Exact(options.TopP),
            TopK = options.TopK,
            Seed = options.Seed,
            MaxNewTokens = options.MaxOutputTokens,
        };
        GenerationOptions all = options.RawRepresentationFactory?.Invoke(client) is GenerationOptions raw ? raw.Over(asked) : asked;
        return all with { ReturnOnCancellation = false };
    }

    /// <summary>0.9f as 0.9; what a decimal cannot hold as it is.</summary>
    private static double? Exact(float? value) => value is { } number && Math.Abs(number) < 1e28f ? (double)(decimal)number : value;

    /// <summary>A required call: the answer's first tokens are those that begin one.</summary>
    private Dictionary<int, int>? PinnedCall(ChatToolMode? mode, AIFunctionDeclaration[] tools)
    {
        if (mode is not RequiredChatToolMode required) return null;
        string? name = required.RequiredFunctionName;
        if (tools.Length == 0 || (name is not null && tools.All(tool => tool.Name != name)))
            throw new ArgumentException(
                $"ChatOptions.ToolMode requires {(name is null ? "a call" : $"a call of '{name}'")}, "
                + "and ChatOptions.Tools has no such function.");
        if (_prompts.Tokenizer.IdOf(CallOpen) is null)
            throw new NotSupportedException(
                $"ChatOptions.ToolMode requires a call, and the checkpoint's vocabulary has no {CallOpen}.");
        IReadOnlyList<int> ids = _prompts.Tokenizer.EncodeToIds($"{CallOpen}call:{(name is null ? "" : name + "{")}");
        return ids.Index().ToDictionary(item => item.Index, item => item.Item);
    }
}
