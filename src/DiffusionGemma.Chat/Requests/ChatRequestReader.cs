using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>
/// Messages and options to a request. Every member of <see cref="ChatOptions"/> is honoured, refused, or here said to be ignored:
/// <see cref="ChatOptions.AllowBackgroundResponses"/> is a permission that is not used.
/// </summary>
internal sealed class ChatRequestReader(ChatTokenizer tokenizer, string? modelId)
{
    private const string CallOpen = "<|tool_call>";

    private readonly AnswerGrammars _grammars = new(tokenizer);

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
            new GenerationRequest(prompt) { Options = generation, Pinned = pinned },
            new AnswerParserOptions
            {
                StopSequences = StopSequences(options),
                AllowsToolCalls = options.ToolMode is not NoneChatToolMode,
                EndsWithFirstToolCall = options.AllowMultipleToolCalls == false,
            },
            KeepsReasoning: options.Reasoning?.Output is not ReasoningOutput.None);
    }

    private int[] Encode(ChatMessage[] messages, ChatOptions options, AIFunctionDeclaration[] tools)
    {
        try
        {
            return tokenizer.EncodePrompt(Write(writesResultsAsText: false));
        }
        // The template would write an object as Python prints it.
        catch (ChatException exception) when (exception.Key?.EndsWith(".content", StringComparison.Ordinal) == true)
        {
            return tokenizer.EncodePrompt(Write(writesResultsAsText: true));
        }

        ChatConversation Write(bool writesResultsAsText) =>
            ConversationWriter.Write(messages, SystemText(options), tools, TemplateArguments(options), writesResultsAsText);
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
        Refuse(options.ModelId is { } model && model != modelId, nameof(options.ModelId),
            $"is '{options.ModelId}': this client has one model, '{modelId}'.");
        const string NoPenalty = "is not supported: a canvas has no order in which tokens were written. Leave it null.";
        Refuse(options.FrequencyPenalty is not (null or 0), nameof(options.FrequencyPenalty), NoPenalty);
        Refuse(options.PresencePenalty is not (null or 0), nameof(options.PresencePenalty), NoPenalty);
        Refuse(options.Reasoning?.Output is ReasoningOutput.Summary, "Reasoning.Output",
            "is Summary: nothing here summarises thoughts. Ask for Full or None.");
    }

    private static IReadOnlyList<string> StopSequences(ChatOptions options) => options.StopSequences switch
    {
        null => [],
        { } stops when stops.Any(string.IsNullOrEmpty) =>
            throw new ArgumentException("ChatOptions.StopSequences holds an empty text.", nameof(options)),
        { } stops => [.. stops],
    };

    private static AIFunctionDeclaration DeclarationOf(AITool tool) => tool as AIFunctionDeclaration ?? throw new NotSupportedException(
        $"ChatOptions.Tools: '{tool.Name}' is a {tool.GetType().Name}: only functions (AIFunctionDeclaration) can be called.");

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

    /// <summary>0.9f as 0.9.</summary>
    private static double? Exact(float? value) => value is { } number && float.IsFinite(number) ? (double)(decimal)number : value;

    /// <summary>A required call: the answer's first tokens are those that begin one.</summary>
    private Dictionary<int, int>? PinnedCall(ChatToolMode? mode, AIFunctionDeclaration[] tools)
    {
        if (mode is not RequiredChatToolMode required) return null;
        string? name = required.RequiredFunctionName;
        if (tools.Length == 0 || (name is not null && tools.All(tool => tool.Name != name)))
            throw new ArgumentException(
                $"ChatOptions.ToolMode requires {(name is null ? "a call" : $"a call of '{name}'")}, "
                + "and ChatOptions.Tools has no such function.");
        if (tokenizer.Tokenizer.IdOf(CallOpen) is null)
            throw new NotSupportedException(
                $"ChatOptions.ToolMode requires a call, and the checkpoint's vocabulary has no {CallOpen}.");
        IReadOnlyList<int> ids = tokenizer.Tokenizer.EncodeToIds($"{CallOpen}call:{(name is null ? "" : name + "{")}");
        return ids.Index().ToDictionary(item => item.Index, item => item.Item);
    }
}
