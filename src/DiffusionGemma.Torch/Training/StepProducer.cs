using System.Diagnostics;
using System.Threading.Channels;

namespace DiffusionGemma;

/// <summary>Draws the next steps on a thread of its own, a few ahead, so that training never waits for its input.</summary>
internal sealed class StepProducer : IDisposable
{
    private const int Ahead = 2;
    private readonly Channel<PreparedStep> _channel =
        Channel.CreateBounded<PreparedStep>(new BoundedChannelOptions(Ahead) { SingleReader = true, SingleWriter = true });
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _work;

    /// <param name="first">The first step to make.</param>
    /// <param name="end">The step after the last.</param>
    /// <param name="make">Makes one; called on the producer's thread, in order.</param>
    public StepProducer(int first, int end, Func<int, PreparedStep> make) =>
        _work = Task.Factory.StartNew(() =>
            Produce(first, end, make), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>The next step, and how long it was waited for.</summary>
    public (PreparedStep Step, TimeSpan Waited) Next()
    {
        if (_channel.Reader.TryRead(out PreparedStep? ready)) return (ready, TimeSpan.Zero);
        var clock = Stopwatch.StartNew();
        return (_channel.Reader.ReadAsync().AsTask().GetAwaiter().GetResult(), clock.Elapsed);
    }

    /// <summary>Ends the thread.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _work.Wait();
        _stop.Dispose();
    }

    private void Produce(int first, int end, Func<int, PreparedStep> make)
    {
        try
        {
            for (int step = first; step < end; step++)
                _channel.Writer.WriteAsync(make(step), _stop.Token).AsTask().GetAwaiter().GetResult();
            _channel.Writer.Complete();
        }
        catch (OperationCanceledException)
        {
            _channel.Writer.Complete();
        }
        catch (Exception e)
        {
            _channel.Writer.Complete(e);                        // comes out of Next
        }
    }
}
