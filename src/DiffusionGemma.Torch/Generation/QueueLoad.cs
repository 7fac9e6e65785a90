using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Counts the requests of one queue, for its status and for the process's meter. Safe for any number of threads.</summary>
internal sealed class QueueLoad
{
    private int _waiting;
    private int _running;
    private long _lastPass;
    private long _lastProgress;

    public int Waiting => Volatile.Read(ref _waiting);

    public int Running => Volatile.Read(ref _running);

    /// <summary>Time since the last decoder pass; null before the first.</summary>
    public TimeSpan? SinceLastPass =>
        Volatile.Read(ref _lastPass) is var last and not 0 ? Stopwatch.GetElapsedTime(last) : null;

    /// <summary>Time that the batch's requests have waited for a decoder pass; zero where it is empty.</summary>
    public TimeSpan StalledFor => Running > 0 ? Stopwatch.GetElapsedTime(Volatile.Read(ref _lastProgress)) : TimeSpan.Zero;

    /// <summary>Counts a request that has arrived.</summary>
    public void Enter()
    {
        Interlocked.Increment(ref _waiting);
        DenoisingTelemetry.Waiting.Add(1);
    }

    /// <summary>Counts a waiting request that leaves the queue unanswered.</summary>
    public void Leave()
    {
        Interlocked.Decrement(ref _waiting);
        DenoisingTelemetry.Waiting.Add(-1);
    }

    /// <summary>Counts a waiting request that joins the batch.</summary>
    /// <param name="waited">Time since it arrived.</param>
    public void Join(TimeSpan waited)
    {
        Leave();
        Volatile.Write(ref _lastProgress, Stopwatch.GetTimestamp());
        Interlocked.Increment(ref _running);
        DenoisingTelemetry.Running.Add(1);
        DenoisingTelemetry.WaitDuration.Record(waited.TotalSeconds);
    }

    /// <summary>Counts a request that leaves the batch, answered or not.</summary>
    public void Complete()
    {
        Interlocked.Decrement(ref _running);
        DenoisingTelemetry.Running.Add(-1);
    }

    /// <summary>Remembers the time of a decoder pass.</summary>
    public void Pass()
    {
        long now = Stopwatch.GetTimestamp();
        Volatile.Write(ref _lastPass, now);
        Volatile.Write(ref _lastProgress, now);
    }
}
