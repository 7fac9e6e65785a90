namespace DiffusionGemma;

/// <summary>The first failure of a group, shared with all groups that were split off it. Later failures change nothing.</summary>
internal sealed class GroupFailure
{
    private volatile FirstFailure? _first;

    /// <summary>Held to read or change what the ranks share; pulsed when that changes, or when the group fails.</summary>
    public object Gate { get; } = new();

    public bool HasFailed => _first is not null;

    /// <summary>Records a failure, which ends every wait.</summary>
    /// <param name="message">Which rank did what, without a full stop at the end.</param>
    /// <param name="cause">The exception of the rank that failed.</param>
    /// <returns>True for the first failure; a later one changes nothing.</returns>
    public bool Fail(string message, Exception? cause = null)
    {
        lock (Gate)
        {
            if (_first is not null) return false;
            _first = new FirstFailure(message, cause);
            Monitor.PulseAll(Gate);
            return true;
        }
    }

    /// <summary>Describes an <see cref="IProcessGroup.Abort"/> to the other ranks.</summary>
    public static string DescribeAbort(RankStatus rank, Exception cause) => $"{rank} failed: {cause.Message}";

    /// <summary>Describes a time-out.</summary>
    /// <param name="timeout">How long the others waited.</param>
    /// <param name="missing">The ranks that did not arrive.</param>
    /// <param name="last">The last collective that the group completed, if any.</param>
    public static string DescribeTimeout(TimeSpan timeout, IEnumerable<RankStatus> missing, (long Number, CollectiveCall Call)? last)
    {
        string completed = last is { } one
            ? $"the last completed collective was {one.Number}, {one.Call}" : "no collective was completed before";
        return $"{string.Join(", ", missing)} did not arrive within {timeout.TotalSeconds:0.###} s; {completed}";
    }

    /// <summary>Throws if the group has failed: a new exception for each rank and time, with the collective that the rank called.</summary>
    public void ThrowIfFailed(RankStatus rank, long number, CollectiveCall call)
    {
        if (_first is not { } first) return;
        string name = rank.ToString();
        throw new ProcessGroupException(
            $"{char.ToUpperInvariant(name[0])}{name[1..]}, collective {number}, {call}: {first.Message}", first.Cause);
    }

    private sealed record FirstFailure(string Message, Exception? Cause);
}
