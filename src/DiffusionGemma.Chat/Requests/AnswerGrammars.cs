using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Grammars of answers that a caller asks for by a JSON schema, over the checkpoint's vocabulary.</summary>
internal sealed class AnswerGrammars
{
    private const string ThoughtOpen = "<|channel>", ThoughtClose = "<channel|>";

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

    /// <summary>The language of the answer; null where it is free.</summary>
    /// <param name="options">A request's options. Beside tools an answer is free: it may be a call.</param>
    /// <param name="prompt">The request's prompt: a thought may have begun in it.</param>
    /// <exception cref="NotSupportedException">The schema holds what grammars do not read; the part is named.</exception>
    public AnswerGrammar? Read(ChatOptions options, int[] prompt)
    {
        if (options.ResponseFormat is not ChatResponseFormatJson { Schema: { } schema }) return null;
        if (options.Tools is { Count: > 0 } && options.ToolMode is not NoneChatToolMode) return null;
        try
        {
            AnswerGrammar grammar = AnswerGrammar.JsonSchema(schema.GetRawText());
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
