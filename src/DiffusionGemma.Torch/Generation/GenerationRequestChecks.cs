namespace DiffusionGemma;

/// <summary>Checks that a request fits the model.</summary>
internal static class GenerationRequestChecks
{
    /// <exception cref="GenerationRequestException">No answer of the request's grammar fits its limit and pinned tokens, or one of its
    /// labels does not fit the limit and could never be an answer.</exception>
    public static void RequireAnswer(int index, GenerationRequest request, ResolvedGenerationOptions options, RowGrammar? grammar)
    {
        if (grammar is null) return;
        if (grammar.HasAnswer)
        {
            int[] tokens = options.LabelCount == 0 ? [] : grammar.Automaton.FewestTokens(options.LabelCount);
            int tooLong = Array.FindIndex(tokens, count => count > options.MaxNewTokens);
            if (tooLong >= 0)
                throw new GenerationRequestException(index, $"has a grammar whose label '{options.Labels[tooLong]}' takes "
                    + $"{tokens[tooLong]} tokens, and MaxNewTokens is {options.MaxNewTokens}: raise it, or shorten the label.");
            return;
        }
        int fewest = grammar.Automaton.Distances[grammar.Automaton.Start];
        throw new GenerationRequestException(index, fewest > options.MaxNewTokens
            ? $"has a grammar whose shortest answer takes {fewest} tokens, and MaxNewTokens is {options.MaxNewTokens}: raise it."
            : $"pins {request.Pinned!.Count} tokens that no answer of its grammar holds at these places within {options.MaxNewTokens} "
                + "tokens.");
    }

    /// <summary>Keeps an adapter's deltas for a row, until the result is disposed.</summary>
    /// <exception cref="GenerationRequestException">The adapter does not fit the model.</exception>
    /// <exception cref="ObjectDisposedException">The adapter is disposed.</exception>
    public static IDisposable UseAdapter(int index, LoraAdapter adapter, DiffusionGemmaModel model)
    {
        IDisposable use = adapter.Use();
        if (adapter.FindMisfit(model.Stack) is not { } misfit) return use;
        use.Dispose();
        throw new GenerationRequestException(index, $"names an adapter that {misfit}");
    }

    /// <exception cref="GenerationRequestException">The request does not fit the model.</exception>
    public static void Require(int index, GenerationRequest request, ResolvedGenerationOptions options, DiffusionGemmaConfig config)
    {
        void Check(bool holds, string message)
        {
            if (!holds) throw new GenerationRequestException(index, message);
        }

        int canvas = config.CanvasLength, length = request.Prompt.Length;
        long tokens = ((long)options.MaxNewTokens + canvas - 1) / canvas * canvas;
        bool Known(int id) => id >= 0 && id < config.VocabularySize;
        Check(length > 0, "is empty.");
        Check(
            length + tokens <= config.MaxPositionEmbeddings,
            $"has {length} tokens; with {tokens} new ones that is more than the model's {config.MaxPositionEmbeddings} positions. Shorten "
            + "it, or lower MaxNewTokens.");
        Check(
            request.Prompt.All(Known),
            $"holds an id outside the vocabulary of {config.VocabularySize}: is it tokenized for another checkpoint?");
        Check(
            request.SharedPrefixLength >= 0 && request.SharedPrefixLength <= length,
            $"has a SharedPrefixLength of {request.SharedPrefixLength}, but {length} tokens.");
        if (request.Draft is { } draft)
        {
            Check(draft.Count <= tokens, $"has a draft of {draft.Count} tokens, more than the {tokens} new ones: raise MaxNewTokens.");
            Check(draft.All(Known), $"has a draft with an id outside the vocabulary of {config.VocabularySize}.");
        }
        if (request.Pinned is { } pinned)
        {
            Check(
                pinned.Keys.All(p => p >= 0 && p < options.MaxNewTokens),
                $"pins a token at a position outside the {options.MaxNewTokens} new ones: raise MaxNewTokens.");
            Check(pinned.Values.All(Known), $"pins an id outside the vocabulary of {config.VocabularySize}.");
        }
    }
}
