using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// Builds a token automaton: walks the vocabulary's tree from every state that a token can lead to, and splits classes of tokens wherever
/// two members lead apart.
/// </summary>
internal sealed class TokenAutomatonBuilder
{
    private readonly ByteAutomaton _automaton;
    private readonly VocabularyTrie _vocabulary;
    private readonly AnswerEnding _ending;

    /// <summary>States in the order that they are found in: of the grammar, or, from its count on, of an answer's ending.</summary>
    private readonly List<int> _states = [];

    /// <summary>[states of the grammar and of all endings]: each one's place in <see cref="_states"/>; -1: not found yet.</summary>
    private readonly int[] _found;

    /// <summary>[the same]: numbers of the targets of the state that is looked at; -1: none.</summary>
    private readonly int[] _numbers;

    private readonly int[] _classes;
    private readonly List<int> _sizes;

    public TokenAutomatonBuilder(ByteAutomaton automaton, VocabularyTrie vocabulary, AnswerEnding ending)
    {
        _automaton = automaton;
        _vocabulary = vocabulary;
        _ending = ending;
        _found = new int[automaton.IsEmpty ? 0 : automaton.States + (automaton.Answers.Max() + 1) * EndingStates];
        System.Array.Fill(_found, -1);
        _numbers = [.. _found];
        _classes = new int[vocabulary.VocabularySize];
        _sizes = [vocabulary.VocabularySize];
    }

    /// <summary>Tokens that are looked at in all states together, at most: some seconds, which a request may not ask for more of.</summary>
    public long MostTokens { get; init; } = 500_000_000;

    /// <summary>States of one answer's ending: the turn ended, each token after it written, the fill.</summary>
    private int EndingStates => 2 + (_ending.AfterTurn?.Count ?? 0);

    /// <exception cref="GrammarException">No sequence of tokens spells an answer, or it is too much work.</exception>
    public TokenAutomaton Build()
    {
        if (_automaton.IsEmpty) throw new GrammarException("The grammar has no answer at all.");
        Find(_automaton.Start);
        var reach = new TokenReach(_automaton, _vocabulary.Depth);
        // Of each form of what a token can reach: the places of the states that tokens lead to, in the order that they are found in.
        var known = new Dictionary<UInt128, int[]>();
        var (tokens, targets, distinct) = (new List<int>(), new List<int>(), new List<int>());
        var scratch = new int[_vocabulary.Depth + 1];
        long read = 0;
        for (int n = 0; n < _states.Count; n++)
        {
            int state = _states[n];
            UInt128? form = state < _automaton.States ? reach.Find(state) : null;
            if (form is { } same && known.TryGetValue(same, out int[]? places))
            {
                // Another state of this form has divided the classes already.
                foreach (int place in places) Find(reach.States[place]);
                foreach ((int _, int to) in SpecialEdges(state)) Find(to);
                continue;
            }
            tokens.Clear();
            targets.Clear();
            if (state < _automaton.States) _vocabulary.Walk(_automaton, state, scratch, tokens, targets);
            Number(targets, 0, distinct);
            (int ofText, int texts) = (distinct.Count, targets.Count);
            foreach ((int token, int to) in SpecialEdges(state))
            {
                tokens.Add(token);
                targets.Add(to);
            }
            Number(targets, texts, distinct);
            if ((read += tokens.Count) > MostTokens) throw new GrammarException(
                $"The grammar is too large for a vocabulary of {_vocabulary.VocabularySize:N0} tokens: too many of its states differ in "
                + "what may follow. Lower maxLength, maxItems or the counts of a pattern.");
            if (form is { } first) known[first] = [.. distinct.Take(ofText).Select(reach.PlaceOf)];
            foreach (int to in distinct)
            {
                Find(to);
                _numbers[to] = -1;
            }
            Split(tokens, targets, distinct.Count);
            distinct.Clear();
        }
        return Assemble();
    }

    /// <summary>Numbers targets as they appear: those of one state are few, so that a pair of class and number is an index.</summary>
    /// <param name="targets">The targets; replaced by their numbers.</param>
    /// <param name="from">The first that is not numbered yet.</param>
    /// <param name="distinct">The numbered ones so far.</param>
    private void Number(List<int> targets, int from, List<int> distinct)
    {
        foreach (ref int target in CollectionsMarshal.AsSpan(targets)[from..])
        {
            ref int number = ref _numbers[target];
            if (number < 0)
            {
                number = distinct.Count;
                distinct.Add(target);
            }
            target = number;
        }
    }

    private int Find(int state)
    {
        if (_found[state] >= 0) return _found[state];
        _states.Add(state);
        return _found[state] = _states.Count - 1;
    }

    /// <summary>Edges of tokens that have no bytes: the grammar's own, and those of the ending.</summary>
    private IEnumerable<(int Token, int To)> SpecialEdges(int state)
    {
        if (state < _automaton.States)
        {
            for (int i = 0; i < _automaton.SpecialTokens.Count; i++)
                if (_automaton.Next(state, ByteAutomaton.Bytes + i) is >= 0 and var to) yield return (_automaton.SpecialTokens[i], to);
            if (_automaton.Answers[state] is not (>= 0 and var answer)) yield break;
            if (_ending.TurnEnd is { } turnEnd) yield return (turnEnd, EndingState(answer, 0));
            yield return (_ending.EndOfSequence, EndingState(answer, EndingStates - 1));
            yield break;
        }
        (int ended, int position) = Math.DivRem(state - _automaton.States, EndingStates);
        if (position < EndingStates - 2) yield return (_ending.AfterTurn![position], EndingState(ended, position + 1));
        yield return (_ending.EndOfSequence, EndingState(ended, EndingStates - 1));
    }

    private int EndingState(int answer, int position) => _automaton.States + answer * EndingStates + position;

    private int Answer(int state) => state < _automaton.States ? _automaton.Answers[state] : (state - _automaton.States) / EndingStates;

    /// <summary>Splits the classes of some tokens by their targets; tokens that are not among them stay together.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="targets">The number of each one's target.</param>
    /// <param name="numbers">How many numbers there are.</param>
    private void Split(List<int> tokens, List<int> targets, int numbers)
    {
        int classes = _sizes.Count;
        var counts = new int[classes * numbers];
        for (int i = 0; i < tokens.Count; i++) counts[_classes[tokens[i]] * numbers + targets[i]]++;
        var renamed = new int[counts.Length];
        for (int pair = 0; pair < counts.Length; pair++)
        {
            int old = pair / numbers;
            renamed[pair] = old;
            if (counts[pair] == 0 || counts[pair] == _sizes[old]) continue;
            renamed[pair] = _sizes.Count;
            _sizes.Add(counts[pair]);
            _sizes[old] -= counts[pair];
        }
        for (int i = 0; i < tokens.Count; i++) _classes[tokens[i]] = renamed[_classes[tokens[i]] * numbers + targets[i]];
    }

    private TokenAutomaton Assemble()
    {
        var representatives = new int[_sizes.Count];
        System.Array.Fill(representatives, -1);
        for (int token = _classes.Length - 1; token >= 0; token--) representatives[_classes[token]] = token;
        var edges = _states.Select(state => Edges(state, representatives)).ToList();
        int[] answers = [.. _states.Select(Answer)];

        // Edges to states that no token sequence completes are dead ends.
        int[] distances = TokenAutomaton.Measure(new AutomatonEdges(edges, _sizes.Count), answers);
        if (distances[0] == TokenAutomaton.Unreachable)
            throw new GrammarException($"The tokenizer cannot spell any answer of the grammar, '{_automaton.Shortest()}' for one.");
        foreach (List<(int Class, int To)> leaving in edges) leaving.RemoveAll(edge => distances[edge.To] == TokenAutomaton.Unreachable);

        int[] used = [.. edges.SelectMany(leaving => leaving.Select(edge => edge.Class)).Distinct().Order()];
        var renamed = new int[_sizes.Count];
        System.Array.Fill(renamed, -1);
        for (int i = 0; i < used.Length; i++) renamed[used[i]] = i;
        return new TokenAutomaton(
            [.. _classes.Select(c =>
                renamed[c])], [.. edges.Select(leaving => leaving.Select(edge => (renamed[edge.Class], edge.To)).ToList())], answers, 0);
    }

    private List<(int Class, int To)> Edges(int state, int[] representatives)
    {
        var edges = new List<(int, int)>();
        Dictionary<int, int> special = [];
        foreach ((int token, int to) in SpecialEdges(state)) special[token] = to;
        for (int c = 0; c < representatives.Length; c++)
        {
            int token = representatives[c];
            if (token < 0) continue;
            int to = special.TryGetValue(token, out int known) ? known : state < _automaton.States ? _vocabulary.Next(
                _automaton, state, token) : -1;
            if (to >= 0) edges.Add((c, _found[to]));
        }
        return edges;
    }
}
