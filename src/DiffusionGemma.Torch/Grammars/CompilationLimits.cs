namespace DiffusionGemma;

/// <summary>Limits of the work of compiling one grammar, all its parts together: a few letters of a pattern may ask for hours.</summary>
/// <param name="mostStates">States of the automaton, and of that of each part.</param>
/// <param name="tooLarge">Makes the error that is thrown beyond a limit.</param>
internal sealed class CompilationLimits(int mostStates, Func<Exception> tooLarge)
{
    /// <summary>States of one graph, for each deterministic one that is allowed: most of them only join others.</summary>
    private const int GraphFactor = 50;

    /// <summary>Members of all sets of states, for each state that is allowed: what repetitions of repetitions cost.</summary>
    private const int MembersFactor = 1500;

    /// <summary>Members that cost as much as to add a state and to minimise it again.</summary>
    private const int MembersOfState = 150;

    private long _members;

    public long MostGraphStates => (long)mostStates * GraphFactor;

    /// <summary>Counts a state of a deterministic automaton.</summary>
    /// <param name="states">Those that it has so far.</param>
    public void AddState(int states)
    {
        if (states == mostStates) throw tooLarge();
        AddMembers(MembersOfState);
    }

    /// <summary>Counts members of sets of states.</summary>
    public void AddMembers(int count)
    {
        if ((_members += count) > (long)mostStates * MembersFactor) throw tooLarge();
    }
}
