using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Grammars of answers that a caller asks for by a JSON schema, over the checkpoint's vocabulary.</summary>
internal sealed class AnswerGrammars
{
    private const string ThoughtOpen = "<|channel>", ThoughtClose = "<channel|>";
    private const string CallOpen = "<|tool_call>", CallClose = "<tool_call|>", Quote = "<|\"|>", ResponseOpen = "<|tool_response>";

    private readonly DiffusionGemmaTokenizer _tokenizer;
    private readonly Lazy<GrammarVocabulary> _vocabulary;

    /// <param name="tokenizer">The checkpoint's tokenizer and chat template.</param>
    public AnswerGrammars(ChatTokenizer tokenizer)
    {
        _tokenizer = tokenizer.Tokenizer;
        _vocabulary = new Lazy<GrammarVocabulary>(() => new GrammarVocabulary(_tokenizer.VocabularyBytes, FindEnding(tokenizer)));
    }

    /// <summary>The tokenizer's vocabulary and the tokens that end an answer.</summary>
    public GrammarVocabulary Vocabulary => _vocabulary.Value;

    /// <summary>
    /// The language of the answer: (thought)? (text | instance of the schema | calls of tools); null where it is free.
    /// </summary>
    /// <param name="options">A request's options.</param>
    /// <param name="prompt">The request's prompt: a thought may have begun in it.</param>
    /// <param name="tools">Tools that may be called.</param>
    /// <param name="constrainsCalls">Whether calls are constrained where no schema of the answer is asked for.</param>
    /// <exception cref="NotSupportedException">The schema holds what grammars do not read; the part is named.</exception>
    public AnswerGrammar? Read(ChatOptions options, int[] prompt, IReadOnlyList<AIFunctionDeclaration> tools, bool constrainsCalls)
    {
        JsonElement? schema = (options.ResponseFormat as ChatResponseFormatJson)?.Schema;
        if (schema is null && (tools.Count == 0 || !constrainsCalls)) return null;
        if (tools.Count > 0 && Syntax() is null) return null;                              // this vocabulary has no calls
        try
        {
            AnswerGrammar grammar = schema is { } asked ? AnswerGrammar.JsonSchema(asked.GetRawText()) : AnswerGrammar.AnyText;
            if (tools.Count > 0) grammar = WithCalls(grammar, options, tools);
            if (_tokenizer.IdOf(ThoughtOpen) is not { } open || _tokenizer.IdOf(ThoughtClose) is not { } close) return grammar;
            bool isOpen = Array.LastIndexOf(prompt, open) > Array.LastIndexOf(prompt, close);
            bool thinks = options.Reasoning?.Effort is not (null or ReasoningEffort.None);
            return isOpen || thinks ? grammar.WithThought(open, close, isOpen) : grammar;
        }
        catch (GrammarException fault)
        {
            throw new NotSupportedException(
                $"ChatOptions.ResponseFormat: {fault.Message} ChatResponseFormat.Json without a schema asks for JSON in words alone.",
                    fault);
        }
    }

    private AnswerGrammar WithCalls(AnswerGrammar grammar, ChatOptions options, IReadOnlyList<AIFunctionDeclaration> tools)
    {
        var required = options.ToolMode as RequiredChatToolMode;
        CallableTool[] callable =
        [
            .. tools.Where(tool => required?.RequiredFunctionName is not { } name || tool.Name == name)
                .Select(tool => new CallableTool(tool.Name, SchemaOf(tool))),
        ];
        return grammar.WithCalls(callable, Syntax()!, required is not null, several: options.AllowMultipleToolCalls != false);
    }

    /// <summary>A function without a schema has no arguments.</summary>
    private static string SchemaOf(AIFunctionDeclaration tool) =>
        tool.JsonSchema.ValueKind == JsonValueKind.Object && tool.JsonSchema.EnumerateObject().Any()
            ? tool.JsonSchema.GetRawText() : """{"type":"object"}""";

    private CallSyntax? Syntax() =>
        _tokenizer.IdOf(CallOpen) is { } open && _tokenizer.IdOf(CallClose) is { } close && _tokenizer.IdOf(Quote) is { } quote
            ? new CallSyntax(open, close, quote, _tokenizer.IdOf(ResponseOpen)) : null;

    /// <summary>Finds the tokens that the template writes after an answer: what two answered conversations end in alike.</summary>
    private static AnswerEnding FindEnding(ChatTokenizer tokenizer)
    {
        int[] first = [.. tokenizer.Encode(ChatConversation.Of(("user", "a"), ("assistant", "1"))).Ids];
        int[] second = [.. tokenizer.Encode(ChatConversation.Of(("user", "a"), ("assistant", "b"))).Ids];
        int shared = 0;
        while (shared < Math.Min(first.Length, second.Length) && first[^(shared + 1)] == second[^(shared + 1)]) shared++;
        int end = tokenizer.Tokenizer.EosId
            ?? throw new InvalidDataException("The tokenizer names no eos_token, which fills a canvas after its answer.");
        int[] after = [.. first[^shared..].Where(id => id != end)];
        return new AnswerEnding(end, after.Length == 0 ? null : after[0], after.Length == 0 ? [] : after[1..]);
    }
}
