namespace DiffusionGemma;

/// <summary>
/// The edges of a token automaton: in the order of their sources, with their indices in the orders of targets and classes.
/// </summary>
internal sealed class AutomatonEdges
{
    /// <param name="edges">The edges that leave each state.</param>
    /// <param name="classes">Number of classes.</param>
    public AutomatonEdges(List<List<(int Class, int To)>> edges, int classes)
    {
        First = new int[edges.Count + 1];
        for (int state = 0; state < edges.Count; state++)
        {
            edges[state].Sort();
            First[state + 1] = First[state] + edges[state].Count;
        }
        Sources = [.. edges.SelectMany((leaving, state) => leaving.Select(_ => state))];
        Classes = [.. edges.SelectMany(leaving => leaving.Select(edge => edge.Class))];
        Targets = [.. edges.SelectMany(leaving => leaving.Select(edge => edge.To))];
        (ByTarget, FirstByTarget) = Order(Targets, edges.Count);
        (ByClass, FirstByClass) = Order(Classes, classes);
    }

    public int Count => Sources.Length;

    /// <summary>[states + 1]: where the edges of each source begin.</summary>
    public int[] First { get; }

    public int[] Sources { get; }

    public int[] Classes { get; }

    public int[] Targets { get; }

    /// <summary>Indices of the edges in the order of their classes.</summary>
    public int[] ByClass { get; }

    /// <summary>[classes + 1]: where each class begins in <see cref="ByClass"/>.</summary>
    public int[] FirstByClass { get; }

    /// <summary>Indices of the edges in the order of their targets.</summary>
    public int[] ByTarget { get; }

    /// <summary>[states + 1]: where each target begins in <see cref="ByTarget"/>.</summary>
    public int[] FirstByTarget { get; }

    /// <summary>Indices of the edges that lead into a state.</summary>
    public ReadOnlySpan<int> Into(int state) => ByTarget.AsSpan(FirstByTarget[state]..FirstByTarget[state + 1]);

    /// <summary>The state after a class of tokens, -1 where there is none.</summary>
    public int Target(int state, int @class)
    {
        int at = System.Array.BinarySearch(Classes, First[state], First[state + 1] - First[state], @class);
        return at < 0 ? -1 : Targets[at];
    }

    private static (int[] Order, int[] First) Order(int[] keys, int count)
    {
        var first = new int[count + 1];
        foreach (int key in keys) first[key + 1]++;
        for (int key = 0; key < count; key++) first[key + 1] += first[key];
        int[] order = new int[keys.Length], at = [.. first];
        for (int edge = 0; edge < keys.Length; edge++) order[at[keys[edge]]++] = edge;
        return (order, first);
    }
}
