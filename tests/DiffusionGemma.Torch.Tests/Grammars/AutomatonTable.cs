namespace DiffusionGemma;

/// <summary>Makes token automata from whole tables, as the reference's cases give them.</summary>
internal static class AutomatonTable
{
    /// <param name="next">[states][V]: the state after each token, -1 where there is none.</param>
    /// <param name="start">The first state.</param>
    /// <param name="answers">The answer that each state completes; -1: none.</param>
    public static TokenAutomaton Read(int[][] next, int start, int[] answers)
    {
        int[] columns = [.. Enumerable.Range(0, next[0].Length)];
        var classes = columns.GroupBy(v => string.Join(',', next.Select(row => row[v]))).Where(
            g => g.Any(v => next.Any(row => row[v] >= 0)));
        var tokenClasses = new int[columns.Length];
        Array.Fill(tokenClasses, -1);
        var edges = next.Select(_ => new List<(int, int)>()).ToList();
        foreach ((int index, IGrouping<string, int> members) in classes.Index())
        {
            foreach (int v in members) tokenClasses[v] = index;
            for (int state = 0; state < next.Length; state++)
                if (next[state][members.First()] is >= 0 and var to) edges[state].Add((index, to));
        }
        return new TokenAutomaton(tokenClasses, edges, answers, start);
    }
}
