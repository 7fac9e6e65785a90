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
    private readonly Dictionary<int, int> _found = [];
    private readonly int[] _classes;
    private readonly List<int> _sizes;

    public TokenAutomatonBuilder(ByteAutomaton automaton, VocabularyTrie vocabulary, AnswerEnding ending)
    {
        _automaton = automaton;
        _vocabulary = vocabulary;
        _ending = ending;
        _classes = new int[vocabulary.VocabularySize];
        _sizes = [vocabulary.VocabularySize];
    }

    /// <summary>States of one answer's ending: the turn ended, each token after it written, the fill.</summary>
    private int EndingStates => 2 + (_ending.AfterTurn?.Count ?? 0);

    public TokenAutomaton Build()
    {
        if (_automaton.IsEmpty) throw new GrammarException("The grammar has no answer at all.");
        Find(_automaton.Start);
        var (tokens, targets) = (new List<int>(), new List<int>());
        var scratch = new int[_vocabulary.Depth + 1];
        for (int n = 0; n < _states.Count; n++)
        {
            tokens.Clear();
            targets.Clear();
            if (_states[n] < _automaton.States) _vocabulary.Walk(_automaton, _states[n], scratch, tokens, targets);
            foreach ((int token, int to) in SpecialEdges(_states[n]))
            {
                tokens.Add(token);
                targets.Add(to);
            }
            for (int i = 0; i < targets.Count; i++) targets[i] = Find(targets[i]);
            Split(tokens, targets);
        }
        return Assemble();
    }

    private int Find(int state)
    {
        if (_found.TryGetValue(state, out int number)) return number;
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
    private void Split(List<int> tokens, List<int> targets)
    {
        if (tokens.Count == 0) return;
        // Targets of one state are few: numbered from zero, a pair of class and target is an index.
        var numbers = new Dictionary<int, int>();
        var local = new int[tokens.Count];
        int last = -1, number = -1;
        for (int i = 0; i < local.Length; i++)
        {
            if (targets[i] != last && !numbers.TryGetValue(last = targets[i], out number)) numbers[last] = number = numbers.Count;
            local[i] = number;
        }
        int classes = _sizes.Count;
        var counts = new int[classes * numbers.Count];
        for (int i = 0; i < local.Length; i++) counts[_classes[tokens[i]] * numbers.Count + local[i]]++;
        var renamed = new int[counts.Length];
        for (int pair = 0; pair < counts.Length; pair++)
        {
            int old = pair / numbers.Count;
            renamed[pair] = old;
            if (counts[pair] == 0 || counts[pair] == _sizes[old]) continue;
            renamed[pair] = _sizes.Count;
            _sizes.Add(counts[pair]);
            _sizes[old] -= counts[pair];
        }
        for (int i = 0; i < local.Length; i++) _classes[tokens[i]] = renamed[_classes[tokens[i]] * numbers.Count + local[i]];
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
