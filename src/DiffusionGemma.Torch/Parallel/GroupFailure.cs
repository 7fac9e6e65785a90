namespace DiffusionGemma;

/// <summary>Whether and how a group failed: one for it and all that were split off it. The first failure stays.</summary>
internal sealed class GroupFailure
{
    private volatile Reported? _first;

    /// <summary>Held to look at or change what the ranks share; pulsed when that changes, or when the group fails.</summary>
    public object Gate { get; } = new();

    public bool Failed => _first is not null;

    /// <summary>Every wait ends.</summary>
    /// <param name="message">Who did what, without a point at the end.</param>
    /// <param name="cause">What a rank failed of.</param>
    /// <returns>Whether this was the first failure; a later one changes nothing.</returns>
    public bool Fail(string message, Exception? cause = null)
    {
        lock (Gate)
        {
            if (_first is not null) return false;
            _first = new Reported(message, cause);
            Monitor.PulseAll(Gate);
            return true;
        }
    }

    /// <summary>What <see cref="IProcessGroup.Abort"/> says to the other ranks.</summary>
    public static string Aborted(RankPlace rank, Exception cause) => $"{rank} failed: {cause.Message}";

    /// <summary>What those say who waited in vain.</summary>
    /// <param name="timeout">How long.</param>
    /// <param name="missing">For whom.</param>
    /// <param name="last">What the group did before, if anything.</param>
    public static string Late(TimeSpan timeout, IEnumerable<RankPlace> missing, (long Number, CollectiveCall Call)? last)
    {
        string done = last is { } one ? $"the last that all did was collective {one.Number}, {one.Call}" : "there was none before";
        return $"within {timeout.TotalSeconds:0.###} s there did not come {string.Join(", ", missing)}; {done}";
    }

    /// <summary>Throws where the group has failed: a new exception for each rank and time, with what that rank was about to do.</summary>
    public void ThrowIfFailed(RankPlace rank, long number, CollectiveCall call)
    {
        if (_first is not { } first) return;
        string who = rank.ToString();
        throw new ProcessGroupException($"{char.ToUpperInvariant(who[0])}{who[1..]}, collective {number}, {call}: {first.Message}", first.Cause);
    }

    private sealed record Reported(string Message, Exception? Cause);
}
