namespace DiffusionGemma;

/// <summary>Grammars over a vocabulary: every token's way is its bytes' way, and only classes of tokens are held.</summary>
public class TokenAutomatonTests
{
    private const int End = 1, TurnEnd = 2, Line = 3;

    private static readonly AnswerEnding Ending = new(End, TurnEnd, [Line]);

    private static readonly ReadOnlyMemory<byte>[] Vocabulary =
    [
        default, default, default, "\n"u8.ToArray(), "a"u8.ToArray(), "ab"u8.ToArray(), "b"u8.ToArray(), "abc"u8.ToArray(), "é"u8.ToArray(),
        new byte[] { 0xC3 }, new byte[] { 0xA9 }, "1"u8.ToArray(), "12"u8.ToArray(), "2"u8.ToArray(), "x"u8.ToArray(), "a"u8.ToArray(),
            default,
        "bc"u8.ToArray(),
    ];

    [Theory]
    [InlineData("(ab|é)*c?")]
    [InlineData("a{0,3}b+|12")]
    [InlineData("[^a]*")]
    public void Each_token_leads_where_its_bytes_do(string pattern)
    {
        ByteAutomaton bytes = AnswerGrammar.Regex(pattern).Automaton;
        var trie = new VocabularyTrie(Vocabulary);
        TokenAutomaton automaton = TokenAutomaton.Create(bytes, trie, Ending);
        // Random token strings: accepted by one exactly where by the other.
        var random = new Random(6);
        int[] tokens = [.. Enumerable.Range(0, Vocabulary.Length).Where(v => !Vocabulary[v].IsEmpty)];
        for (int n = 0; n < 3000; n++)
        {
            int[] text = [.. Enumerable.Range(0, random.Next(5)).Select(_ => tokens[random.Next(tokens.Length)])];
            int state = automaton.Start;
            foreach (int token in text) state = state < 0 ? -1 : automaton.Next(state, token);
            byte[] spelled = [.. text.SelectMany(token => Vocabulary[token].ToArray())];
            Assert.Equal(bytes.Accepts(spelled), state >= 0 && automaton.Answers[state] >= 0);
        }
    }

    /// <summary>
    /// States from which tokens lead on alike are looked at once: from each of them every token still leads where its bytes do, and the
    /// classes are those of all states.
    /// </summary>
    [Theory]
    [InlineData("[ab12]{0,40}x")]
    [InlineData("(ab|é){2,9}(1|2){0,9}a?")]
    [InlineData("(a|b)*a(a|b){4}")]
    [InlineData("(a{1,20}b){0,3}|1{5,30}")]
    public void Each_token_leads_where_its_bytes_do_from_each_state(string pattern)
    {
        ByteAutomaton bytes = AnswerGrammar.Regex(pattern).Automaton;
        var trie = new VocabularyTrie(Vocabulary);
        TokenAutomaton automaton = TokenAutomaton.Create(bytes, trie, Ending);
        var states = new Dictionary<int, int> { [automaton.Start] = bytes.Start };
        var queue = new Queue<int>(states.Keys);
        while (queue.TryDequeue(out int state))
            for (int token = 0; token < Vocabulary.Length; token++)
            {
                if (Vocabulary[token].IsEmpty) continue;
                (int expected, int next) = (trie.Next(bytes, states[state], token), automaton.Next(state, token));
                Assert.Equal(expected >= 0, next >= 0);
                if (next >= 0 && states.TryAdd(next, expected)) queue.Enqueue(next);
                if (next >= 0) Assert.Equal(states[next], expected);
            }
        Assert.Equal(states.Count, states.Values.Distinct().Count());
        // Two tokens are of one class exactly where no state tells them apart.
        string Column(int token) => string.Join(',', Enumerable.Range(0, automaton.States).Select(state => automaton.Next(state, token)));
        string[] columns = [.. Enumerable.Range(0, Vocabulary.Length).Where(token => automaton.Classes[token] >= 0).Select(Column)];
        Assert.Equal(columns.Distinct().Count(), automaton.ClassCount);
    }

    /// <summary>A string of 2 000 characters took 32 s with the released vocabulary.</summary>
    [Fact]
    public void States_of_one_form_are_looked_at_once()
    {
        var trie = new VocabularyTrie(Vocabulary);
        TokenAutomaton Build(string pattern, long most) =>
            new TokenAutomatonBuilder(AnswerGrammar.Regex(pattern).Automaton, trie, Ending) { MostTokens = most }.Build();
        Assert.Equal(2_001 + 3, Build("[ab]{0,2000}", most: 30).States);
        GrammarException error = Assert.Throws<GrammarException>(() => Build("(a|b)*a(a|b){9}", most: 20));
        Assert.Contains("too large for a vocabulary of 18 tokens", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Classes_are_as_few_as_the_grammar_tells_apart()
    {
        TokenAutomaton automaton = TokenAutomaton.Create(AnswerGrammar.Regex("[ab]{2}").Automaton, new VocabularyTrie(Vocabulary), Ending);
        // a and b of one byte; ab; the end; the turn's end; the line break after it.
        Assert.Equal(5, automaton.ClassCount);
        Assert.Equal(automaton.Classes[4], automaton.Classes[6]);
        Assert.Equal(automaton.Classes[4], automaton.Classes[15]);
        Assert.Equal(-1, automaton.Classes[14]);
        Assert.Equal(1, automaton.Distances[automaton.Start]);
    }

    [Fact]
    public void An_answer_ends_as_the_template_ends_it()
    {
        TokenAutomaton automaton = TokenAutomaton.Create(AnswerGrammar.Regex("12").Automaton, new VocabularyTrie(Vocabulary), Ending);
        int Walk(params int[] tokens) => tokens.Aggregate(automaton.Start, (state, token) => state < 0 ? -1 : automaton.Next(state, token));
        foreach (int[] text in (int[][])[[12], [11, 13], [12, TurnEnd], [12, TurnEnd, Line, End, End], [12, TurnEnd, End], [12, End, End]])
            Assert.True(Walk(text) is >= 0 and var state && automaton.Answers[state] == 0, string.Join(' ', text));
        foreach (int[] text in (int[][])[[End], [11, End], [12, Line], [12, End, TurnEnd], [12, TurnEnd, TurnEnd], [12, TurnEnd, Line,
            Line]])
            Assert.Equal(-1, Walk(text));
    }

    [Fact]
    public void Labels_end_apart_even_where_one_begins_another()
    {
        AnswerGrammar grammar = AnswerGrammar.OneOf("a", "abc", "12");
        TokenAutomaton automaton = TokenAutomaton.Create(grammar.Automaton, new VocabularyTrie(Vocabulary), Ending);
        int Walk(params int[] tokens) => tokens.Aggregate(automaton.Start, (state, token) => state < 0 ? -1 : automaton.Next(state, token));
        Assert.Equal(0, automaton.Answers[Walk(4)]);
        Assert.Equal(0, automaton.Answers[Walk(4, TurnEnd, End)]);
        Assert.Equal(1, automaton.Answers[Walk(4, 17)]);
        Assert.Equal(1, automaton.Answers[Walk(7, End)]);
        Assert.Equal(2, automaton.Answers[Walk(12, End)]);
    }

    [Fact]
    public void What_the_tokenizer_cannot_spell_is_refused()
    {
        GrammarException fault = Assert.Throws<GrammarException>(
            () => TokenAutomaton.Create(AnswerGrammar.OneOf("zebra").Automaton, new VocabularyTrie(Vocabulary), Ending));
        Assert.Contains("zebra", fault.Message, StringComparison.Ordinal);
        // One of two can be spelled: the other is simply never answered, and its states are no dead ends.
        TokenAutomaton automaton = TokenAutomaton.Create(AnswerGrammar.Regex("az|ab").Automaton, new VocabularyTrie(Vocabulary), Ending);
        Assert.DoesNotContain(int.MaxValue, automaton.Distances);
    }

    [Fact]
    public void Special_tokens_are_edges_of_their_own()
    {
        Language call = new Language.Sequence([new Language.Token(0), Language.Text("a"), new Language.Token(2)]);
        ByteAutomaton bytes = LanguageCompiler.Compile(call, 100);
        TokenAutomaton automaton = TokenAutomaton.Create(bytes, new VocabularyTrie(Vocabulary), new AnswerEnding(End));
        int Walk(params int[] tokens) => tokens.Aggregate(automaton.Start, (state, token) => state < 0 ? -1 : automaton.Next(state, token));
        Assert.True(Walk(0, 4, 2, End) >= 0);
        Assert.Equal(-1, Walk(4, 2));
    }

    [Fact]
    public void A_thought_may_come_before_the_answer()
    {
        AnswerGrammar grammar = AnswerGrammar.OneOf("12", "1").WithThought(open: 0, close: 16);
        TokenAutomaton automaton = TokenAutomaton.Create(grammar.Automaton, new VocabularyTrie(Vocabulary), Ending);
        int Walk(params int[] tokens) => tokens.Aggregate(automaton.Start, (state, token) => state < 0 ? -1 : automaton.Next(state, token));
        foreach (int[] text in (int[][])[[12, End], [0, 4, 14, 8, 16, 12, TurnEnd], [0, 16, 11]])
            Assert.True(Walk(text) is >= 0 and var state && automaton.Answers[state] == 0, string.Join(' ', text));
        foreach (int[] text in (int[][])[[16, 12], [0, 12, End], [0, 4, 0], [0, 16, 0], [12, 0]]) Assert.Equal(-1, Walk(text));

        var vocabulary = new GrammarVocabulary(Vocabulary, Ending);
        Assert.Same(vocabulary.Automaton(grammar), vocabulary.Automaton(AnswerGrammar.OneOf("12", "1").WithThought(0, 16)));
        Assert.NotSame(vocabulary.Automaton(grammar), vocabulary.Automaton(AnswerGrammar.OneOf("12", "1")));
    }
}
