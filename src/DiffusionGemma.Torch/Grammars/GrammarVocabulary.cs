namespace DiffusionGemma;

/// <summary>
/// A tokenizer's vocabulary as grammars need it, with the token automata that were made for it: a grammar is compiled once, by its content,
/// and kept while it is among the last that were used. Safe for several threads.
/// </summary>
/// <param name="bytes">The UTF-8 bytes of every id; empty: the id is no text (special tokens).</param>
/// <param name="ending">The tokens that may follow an answer.</param>
public sealed class GrammarVocabulary(IReadOnlyList<ReadOnlyMemory<byte>> bytes, AnswerEnding ending)
{
    /// <summary>Automata that are kept: one of a released vocabulary's takes some megabytes.</summary>
    private const int MostKept = 32;

    private readonly Lock _gate = new();
    private readonly Lazy<VocabularyTrie> _trie = new(() => new VocabularyTrie(bytes));
    private readonly LinkedList<(AnswerGrammar Grammar, Lazy<TokenAutomaton> Automaton)> _latest = [];

    /// <summary>Number of ids.</summary>
    public int Size => bytes.Count;

    /// <summary>The tokens that may follow an answer.</summary>
    public AnswerEnding Ending => ending;

    /// <summary>
    /// Compiles a grammar for this vocabulary, where that was not done yet: a grammar at fault shows here and not at its first answer.
    /// </summary>
    /// <exception cref="GrammarException">No sequence of tokens spells an answer.</exception>
    public void Prepare(AnswerGrammar grammar) => Automaton(grammar);

    /// <summary>The fewest tokens of an answer, its ending not counted.</summary>
    /// <exception cref="GrammarException">No sequence of tokens spells an answer.</exception>
    public int FewestTokens(AnswerGrammar grammar)
    {
        TokenAutomaton automaton = Automaton(grammar);
        return automaton.Distances[automaton.Start];
    }

    /// <summary>The fewest tokens of each label of <see cref="AnswerGrammar.OneOf"/>, its ending not counted.</summary>
    /// <exception cref="ArgumentException">The grammar is no list of labels.</exception>
    /// <exception cref="GrammarException">No sequence of tokens spells a label; it is named.</exception>
    public IReadOnlyList<int> LabelTokens(AnswerGrammar grammar) => grammar.EndsApart
        ? Automaton(grammar).FewestTokens(grammar.Labels.Count)
        : throw new ArgumentException("The grammar must be one of AnswerGrammar.OneOf, without a thought.", nameof(grammar));

    /// <summary>The bytes of an id.</summary>
    internal ReadOnlyMemory<byte> BytesOf(int id) => bytes[id];

    /// <summary>The grammar's automaton over this vocabulary's tokens.</summary>
    internal TokenAutomaton Automaton(AnswerGrammar grammar)
    {
        Lazy<TokenAutomaton> automaton;
        lock (_gate)
        {
            LinkedListNode<(AnswerGrammar Grammar, Lazy<TokenAutomaton> Automaton)>? node = _latest.First;
            while (node is not null && !node.Value.Grammar.IsSame(grammar)) node = node.Next;
            if (node is null)
                node = new((grammar, new Lazy<TokenAutomaton>(() => Compile(grammar))));
            else _latest.Remove(node);
            _latest.AddFirst(node);
            if (_latest.Count > MostKept) _latest.RemoveLast();
            automaton = node.Value.Automaton;
        }
        return automaton.Value;
    }

    private TokenAutomaton Compile(AnswerGrammar grammar)
    {
        TokenAutomaton automaton = TokenAutomaton.Create(grammar.Automaton, _trie.Value, ending);
        if (grammar.Labels.Count == 0) return automaton;
        // A label that no tokens spell would be missing in silence. Behind a thought labels share their last state: they are looked
        // up apart.
        TokenAutomaton labels = grammar.EndsApart
            ? automaton : TokenAutomaton.Create(LabelAutomaton.Create(grammar.Labels), _trie.Value, ending);
        var spelled = labels.Answers.ToHashSet();
        for (int label = 0; label < grammar.Labels.Count; label++)
            if (!spelled.Contains(label))
                throw new GrammarException($"The tokenizer cannot spell the label '{grammar.Labels[label]}'.", grammar.Labels[label]);
        return automaton;
    }
}
