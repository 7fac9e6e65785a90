using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>
/// Compiles a language into a minimal deterministic automaton. Parts and repeated items are compiled by themselves first, so that a fault
/// of size names the part that causes it, and copies of a repeated item are as small as they can be.
/// </summary>
internal sealed class LanguageCompiler
{
    private readonly int _mostStates;
    private readonly CompilationLimits _limits;
    private readonly List<int> _specialTokens = [];
    private readonly Dictionary<Language, StateTable> _compiled = new(ReferenceEqualityComparer.Instance);
    private readonly List<(string Path, int States)> _parts = [];

    private LanguageCompiler(int mostStates) => (_mostStates, _limits) = (mostStates, new CompilationLimits(mostStates, TooLarge));

    private int Symbols => ByteAutomaton.Bytes + _specialTokens.Count;

    /// <param name="language">Over bytes and special tokens.</param>
    /// <param name="mostStates">The limit, of the whole automaton and of each part.</param>
    /// <exception cref="GrammarException">The automaton has more states; the part with most of them is named.</exception>
    public static ByteAutomaton Compile(Language language, int mostStates)
    {
        var compiler = new LanguageCompiler(mostStates);
        compiler.FindSpecialTokens(language, new HashSet<Language>(ReferenceEqualityComparer.Instance));
        StateTable table = compiler.Deterministic(language);
        return new ByteAutomaton(table.ToDense(compiler.Symbols), compiler._specialTokens, table.Start, [.. table.IsFinal.Select(final =>
            final ? 0 : -1)]);
    }

    /// <summary>Visits each part once: a part may stand in many places.</summary>
    private void FindSpecialTokens(Language language, HashSet<Language> seen)
    {
        if (!seen.Add(language)) return;
        switch (language)
        {
            case Language.Token token when !_specialTokens.Contains(token.Id): _specialTokens.Add(token.Id); break;
            case Language.Sequence sequence: foreach (Language part in sequence.Parts) FindSpecialTokens(part, seen); break;
            case Language.Choice choice: foreach (Language option in choice.Options) FindSpecialTokens(option, seen); break;
            case Language.Repeat repeat: FindSpecialTokens(repeat.Item, seen); break;
            case Language.List list: FindSpecialTokens(list.Item, seen); break;
            case Language.Properties properties:
                foreach ((Language item, bool _) in properties.Items) FindSpecialTokens(item, seen);
                break;
            case Language.Part part: FindSpecialTokens(part.Inner, seen); break;
            case Language.Both both:
                FindSpecialTokens(both.First, seen);
                FindSpecialTokens(both.Second, seen);
                break;
        }
    }

    /// <summary>The minimal automaton of a language.</summary>
    private StateTable Deterministic(Language language)
    {
        if (_compiled.TryGetValue(language, out StateTable? known)) return known;
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (language is Language.Part part)
        {
            StateTable inner = Deterministic(part.Inner);
            _parts.Add((part.Path, inner.States));
            return _compiled[language] = inner;
        }
        StateTable table = language is Language.Both both
            ? Product(Deterministic(both.First), Deterministic(both.Second)) : Determinize(language);
        return _compiled[language] = StateMinimizer.Minimize(table, Symbols);
    }

    private StateTable Determinize(Language language)
    {
        var graph = new StateGraph(_limits.MostGraphStates, TooLarge);
        (int start, int end) = Build(language, graph);
        return SubsetConstruction.Determinize(graph, start, end, Symbols, _limits);
    }

    /// <summary>
    /// Adds states for a language to the graph: from the first every string of it leads to the last, and nothing else does.
    /// </summary>
    private (int Start, int End) Build(Language language, StateGraph graph)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        int start = graph.Add(), end;
        switch (language)
        {
            case Language.Bytes bytes:
                end = graph.Add();
                graph.Connect(start, bytes.First, bytes.Last, end);
                return (start, end);
            case Language.Token token:
                end = graph.Add();
                int symbol = ByteAutomaton.Bytes + _specialTokens.IndexOf(token.Id);
                graph.Connect(start, symbol, symbol, end);
                return (start, end);
            case Language.Sequence sequence:
                end = start;
                foreach (Language part in sequence.Parts)
                {
                    (int first, int last) = Build(part, graph);
                    graph.ConnectFreely(end, first);
                    end = last;
                }
                return (start, end);
            case Language.Choice choice:
                end = graph.Add();
                foreach (Language option in choice.Options)
                {
                    (int first, int last) = Build(option, graph);
                    graph.ConnectFreely(start, first);
                    graph.ConnectFreely(last, end);
                }
                return (start, end);
            case Language.Repeat repeat:
                return (start, Repeated(Deterministic(repeat.Item), repeat, graph, start));
            case Language.List list:
                end = graph.Add();
                int before = graph.Add();
                (int begin, int done) = Build(list.Item, graph);
                graph.ConnectFreely(start, before);
                graph.ConnectFreely(before, begin);
                graph.ConnectFreely(done, end);
                graph.Connect(done, ',', ',', before);
                return (start, end);
            case Language.Properties properties:
                return (start, Listed(properties, graph, start));
            case Language.Table table:
                end = graph.Add();
                graph.Embed(table.States, start, end);
                return (start, end);
            case Language.Part or Language.Both:
                end = graph.Add();
                graph.Embed(Deterministic(language), start, end);
                return (start, end);
            default:
                throw new InvalidOperationException($"{language.GetType().Name} must be encoded before it is compiled.");
        }
    }

    /// <summary>
    /// <code>
    /// nothing written   o ----------> o ----------> o ---> end
    ///                    \ item       \ item             ^
    ///                     >----.      >----.            |
    ///                    / ,    \    / ,    \           |
    /// something         o -----> o -----------> o -------'
    /// </code>
    /// </summary>
    private int Listed(Language.Properties properties, StateGraph graph, int start)
    {
        (int nothing, int? something) = (start, null);
        foreach ((Language item, bool isRequired) in properties.Items)
        {
            int before = graph.Add(), written = graph.Add();
            (int first, int last) = Build(item, graph);
            graph.ConnectFreely(before, first);
            graph.ConnectFreely(last, written);
            if (nothing >= 0) graph.ConnectFreely(nothing, before);
            if (something is { } earlier)
            {
                graph.Connect(earlier, ',', ',', before);
                if (!isRequired) graph.ConnectFreely(earlier, written);
            }
            if (isRequired) nothing = -1;
            something = written;
        }
        int end = graph.Add();
        if (nothing >= 0) graph.ConnectFreely(nothing, end);
        if (something is { } all) graph.ConnectFreely(all, end);
        return end;
    }

    private int Repeated(StateTable item, Language.Repeat repeat, StateGraph graph, int start)
    {
        int at = start;
        for (int i = 0; i < repeat.Least; i++)
        {
            int next = graph.Add();
            graph.Embed(item, at, next);
            at = next;
        }
        int end = graph.Add();
        graph.ConnectFreely(at, end);
        if (repeat.Most is null)
        {
            // The state that is looped through is its own: what enters `at` from elsewhere must not leave in the middle.
            int loop = graph.Add();
            graph.ConnectFreely(at, loop);
            graph.Embed(item, loop, loop);
            graph.ConnectFreely(loop, end);
        }
        for (int i = repeat.Least; i < repeat.Most; i++)
        {
            int next = graph.Add();
            graph.Embed(item, at, next);
            graph.ConnectFreely(next, end);
            at = next;
        }
        return end;
    }

    private StateTable Product(StateTable first, StateTable second)
    {
        var table = new StateTable();
        if (first.States == 0 || second.States == 0) return table;
        var at = new Dictionary<(int, int), int>();
        var queue = new Queue<(int A, int B)>();
        int State((int A, int B) pair)
        {
            if (at.TryGetValue(pair, out int state)) return state;
            _limits.AddState(table.States);
            queue.Enqueue(pair);
            return at[pair] = table.Add(first.IsFinal[pair.A] && second.IsFinal[pair.B]);
        }
        State((first.Start, second.Start));
        for (int state = 0; queue.TryDequeue(out (int A, int B) pair); state++)
        {
            ReadOnlySpan<SymbolTransition> ones = first.From(pair.A), others = second.From(pair.B);
            for (int i = 0, j = 0; i < ones.Length && j < others.Length;)
            {
                (SymbolTransition one, SymbolTransition other) = (ones[i], others[j]);
                (int from, int last) = (Math.Max(one.First, other.First), Math.Min(one.Last, other.Last));
                if (from <= last) table.Connect(state, from, last, State((one.To, other.To)));
                if (one.Last == last) i++;
                if (other.Last == last) j++;
            }
        }
        return table;
    }

    private GrammarException TooLarge()
    {
        (string? path, int states) = _parts.Count == 0 ? (null, 0) : _parts.MaxBy(part => part.States);
        string largest = path is null ? "" : $" Its largest part so far is {path}, with {states}.";
        return new GrammarException(
            $"The grammar needs more than {_mostStates:N0} states.{largest} "
            + "Lower maxLength, maxItems or the counts of a pattern, or raise the limit.", path);
    }
}
