using System.Diagnostics;
using System.Threading.Channels;

namespace DiffusionGemma;

/// <summary>One request of a <see cref="GenerationQueue"/>, from its call to its last update.</summary>
internal sealed class QueuedRequest(
    DenoisingRow row, GenerationRequest request, bool drafts, QueueLoad load, CancellationToken cancellation, CancellationToken reported)
{
    private const int Queued = 0, Joined = 1, Left = 2;
    private readonly Channel<GenerationUpdate> _updates = Channel.CreateUnbounded<GenerationUpdate>(
        new UnboundedChannelOptions { SingleReader = true });
    private readonly long _arrived = Stopwatch.GetTimestamp();
    private CancellationTokenRegistration _registration;
    private int _state;

    public DenoisingRow Row => row;

    public GenerationRequest Request => request;

    /// <summary>True where the caller reads the draft of every step.</summary>
    public bool WantsDrafts => drafts;

    public bool IsCancelled => cancellation.IsCancellationRequested;

    /// <summary>The caller's end of the stream.</summary>
    public ChannelReader<GenerationUpdate> Updates => _updates.Reader;

    /// <summary>Completes the request as soon as it is cancelled while it waits: it needs no room in the batch for that.</summary>
    public void LeaveWhenCancelled() => _registration = cancellation.UnsafeRegister(
        static state =>
        {
            var self = (QueuedRequest)state!;
            if (Interlocked.CompareExchange(ref self._state, Left, Queued) != Queued) return;
            self.Load.Leave();
            self.CompleteCancelled();
        },
        this);

    /// <summary>Takes the request into the batch; false where it has left already.</summary>
    public bool TryJoin()
    {
        if (Interlocked.CompareExchange(ref _state, Joined, Queued) != Queued) return false;
        load.Join(Stopwatch.GetElapsedTime(_arrived));
        return true;
    }

    public void Write(GenerationUpdate update) => _updates.Writer.TryWrite(update);

    /// <summary>Ends the stream with the result as far as it is committed, or with an error.</summary>
    public void Complete(Exception? error)
    {
        if (Volatile.Read(ref _state) == Joined) load.Complete();
        if (error is null) Write(new CompletedUpdate(row.Result()));
        _updates.Writer.TryComplete(error);
        _registration.Unregister();
        row.Dispose();
    }

    /// <summary>Ends the stream of a cancelled request, by its options with an exception or with what is committed.</summary>
    public void CompleteCancelled() => Complete(row.Options.ReturnOnCancellation ? null : new OperationCanceledException(reported));

    private QueueLoad Load => load;
}
