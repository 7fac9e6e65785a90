namespace DiffusionGemma;

/// <summary>
/// A grammar over a vocabulary: the states that an answer goes through token by token, its ending included. Tokens that lead every state
/// alike are one class; a state has an edge for each class that may follow. Nothing here has the size states x vocabulary.
/// </summary>
internal sealed class TokenAutomaton
{
    public const int Unreachable = int.MaxValue;

    private readonly int[] _firstMember;

    /// <param name="classes">[V]: each token's class; -1: no state takes the token.</param>
    /// <param name="edges">The edges that leave each state.</param>
    /// <param name="answers">The answer that each state completes; -1: none.</param>
    /// <param name="start">The first state.</param>
    public TokenAutomaton(int[] classes, List<List<(int Class, int To)>> edges, int[] answers, int start)
    {
        Classes = classes;
        Answers = answers;
        Start = start;
        ClassCount = classes.Length == 0 ? 0 : classes.Max() + 1;
        Edges = new AutomatonEdges(edges, ClassCount);
        (Members, _firstMember) = Group(classes, ClassCount);
        Tokens = [.. Members.Order()];
        Distances = Measure(Edges, answers);
    }

    public int VocabularySize => Classes.Length;

    public int States => Answers.Length;

    public int Start { get; }

    /// <summary>[V]: each token's class; -1: no state takes the token.</summary>
    public int[] Classes { get; }

    public int ClassCount { get; }

    /// <summary>The tokens of all classes, one class after the other, ids ascending in each.</summary>
    public int[] Members { get; }

    /// <summary>The tokens of all classes, ids ascending.</summary>
    public int[] Tokens { get; }

    /// <summary>The answer that a state completes: of labels the label's index, else 0; -1: none.</summary>
    public int[] Answers { get; }

    /// <summary>Fewest tokens from each state to a final one.</summary>
    public int[] Distances { get; }

    public AutomatonEdges Edges { get; }

    /// <param name="automaton">The grammar over bytes.</param>
    /// <param name="vocabulary">The vocabulary's bytes.</param>
    /// <param name="ending">What may follow an answer.</param>
    /// <exception cref="GrammarException">No sequence of tokens spells an answer.</exception>
    public static TokenAutomaton Create(ByteAutomaton automaton, VocabularyTrie vocabulary, AnswerEnding ending) =>
        new TokenAutomatonBuilder(automaton, vocabulary, ending).Build();

    /// <summary>The tokens of a class, ids ascending.</summary>
    public ReadOnlySpan<int> MembersOf(int @class) => Members.AsSpan(_firstMember[@class].._firstMember[@class + 1]);

    /// <summary>The state after a token, -1 where there is none.</summary>
    public int Next(int state, int token) => token >= Classes.Length || Classes[token] < 0 ? -1 : Edges.Target(state, Classes[token]);

    /// <summary>States that complete an answer.</summary>
    public bool[] Finals() => [.. Answers.Select(answer => answer >= 0)];

    /// <summary>States from which a final one is at most so many tokens away.</summary>
    public bool[] Within(int tokens) => [.. Distances.Select(distance => distance <= tokens)];

    /// <summary>Fewest tokens of each answer, by its index: of labels the label's.</summary>
    /// <param name="answers">Their number.</param>
    public int[] FewestTokens(int answers)
    {
        int[] fewest = new int[answers], distances = new int[States];
        System.Array.Fill(fewest, Unreachable);
        System.Array.Fill(distances, Unreachable);
        distances[Start] = 0;
        var queue = new Queue<int>([Start]);
        while (queue.TryDequeue(out int state))
        {
            if (Answers[state] is >= 0 and var answer) fewest[answer] = Math.Min(fewest[answer], distances[state]);
            for (int edge = Edges.First[state]; edge < Edges.First[state + 1]; edge++)
            {
                int to = Edges.Targets[edge];
                if (distances[to] != Unreachable) continue;
                distances[to] = distances[state] + 1;
                queue.Enqueue(to);
            }
        }
        return fewest;
    }

    /// <summary>Fewest tokens from each state to one that completes an answer; <see cref="Unreachable"/> where there is no way.</summary>
    internal static int[] Measure(AutomatonEdges edges, int[] answers)
    {
        int[] distances = [.. answers.Select(answer => answer >= 0 ? 0 : Unreachable)];
        var queue = new Queue<int>(Enumerable.Range(0, answers.Length).Where(state => answers[state] >= 0));
        while (queue.TryDequeue(out int state))
            foreach (int edge in edges.Into(state))
            {
                int from = edges.Sources[edge];
                if (distances[from] != Unreachable) continue;
                distances[from] = distances[state] + 1;
                queue.Enqueue(from);
            }
        return distances;
    }

    private static (int[] Members, int[] First) Group(int[] classes, int count)
    {
        var first = new int[count + 1];
        foreach (int c in classes)
            if (c >= 0) first[c + 1]++;
        for (int c = 0; c < count; c++) first[c + 1] += first[c];
        int[] members = new int[first[count]], at = [.. first];
        for (int token = 0; token < classes.Length; token++)
            if (classes[token] >= 0) members[at[classes[token]]++] = token;
        return (members, first);
    }
}
