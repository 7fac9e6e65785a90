using System.Collections.Concurrent;

namespace DiffusionGemma;

/// <summary>A clock on which every wait is over at once; it keeps how long each would have been.</summary>
internal sealed class InstantClock : TimeProvider
{
    private TimeSpan _offset;

    public ConcurrentQueue<TimeSpan> Waits { get; } = new();

    /// <summary>The change of the time of day at each look at it: zero, or back.</summary>
    public TimeSpan Step { get; init; }

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + (_offset += Step);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime == Timeout.InfiniteTimeSpan) return System.CreateTimer(callback, state, dueTime, period);
        Waits.Enqueue(dueTime);
        return System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
