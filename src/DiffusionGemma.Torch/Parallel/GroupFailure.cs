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
    public void Fail(string message, Exception? cause = null)
    {
        lock (Gate)
        {
            _first ??= new Reported(message, cause);
            Monitor.PulseAll(Gate);
        }
    }

    /// <summary>What <see cref="IProcessGroup.Abort"/> says to the other ranks.</summary>
    public void Abort(RankPlace rank, Exception cause) => Fail($"{rank} failed: {cause.Message}", cause);

    /// <summary>Throws where the group has failed: a new exception for each rank and time, with what that rank was about to do.</summary>
    public void ThrowIfFailed(RankPlace rank, long number, CollectiveCall call)
    {
        if (_first is not { } first) return;
        string who = rank.ToString();
        throw new ProcessGroupException($"{char.ToUpperInvariant(who[0])}{who[1..]}, collective {number}, {call}: {first.Message}", first.Cause);
    }

    private sealed record Reported(string Message, Exception? Cause);
}
