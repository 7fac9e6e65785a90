using System.Runtime.CompilerServices;
using System.Threading.Channels;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers requests as they come, from any number of callers, in one batch on one thread of its own: a request joins between two decoder
/// passes, and leaves with its answer.
/// </summary>
/// <remarks>
/// While the queue lives the model is its own: nobody else may use it, or set its adapter. Disposing ends the running answers with an
/// <see cref="ObjectDisposedException"/>; the model stays its owner's.
/// </remarks>
public sealed class GenerationQueue : IDisposable, IAsyncDisposable
{
    private readonly DiffusionGemmaModel _model;
    private readonly GenerationOptions? _options;
    private readonly GenerationConfigFile _file;
    private readonly int _batchSize;
    private readonly int _threads = get_num_threads();
    private readonly Channel<Waiting> _waiting = Channel.CreateUnbounded<Waiting>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _worker;
    private GenerationRequest? _previous;
    private int _count;

    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="options">For all requests, where their own are null; null entries: the checkpoint folder's.</param>
    /// <param name="batchSize">Rows denoised together at most.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="InvalidDataException">The folder's generation_config.json asks for what is not supported.</exception>
    public GenerationQueue(DiffusionGemmaModel model, GenerationOptions? options = null, int batchSize = 8)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        (_model, _options, _batchSize, _file) = (model, options, batchSize, new GenerationConfigFile(model.Folder));
        ResolvedGenerationOptions.Resolve(options, _file, model.Config);
        _worker = Task.Factory.StartNew(Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>What answers: to be looked at, and used by nobody else.</summary>
    public DiffusionGemmaModel Model => _model;

    /// <summary>Answers one request.</summary>
    /// <param name="request">The prompt.</param>
    /// <param name="cancellation">Looked at before every decoder pass.</param>
    /// <exception cref="ArgumentException">The request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public async Task<GenerationResult> GenerateAsync(GenerationRequest request, CancellationToken cancellation = default)
    {
        await foreach (GenerationUpdate update in Enqueue(request, drafts: false, cancellation, cancellation).ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
            if (update is CompletedUpdate completed) return completed.Result;
        throw new InvalidOperationException("The queue ended an answer without a result.");
    }

    /// <summary>Answers one request, and tells of every denoising step and finished canvas on the way.</summary>
    /// <param name="request">The prompt.</param>
    /// <param name="cancellation">Looked at before every decoder pass. Who stops reading cancels too.</param>
    /// <inheritdoc cref="GenerateAsync" path="/exception"/>
    public async IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        ChannelReader<GenerationUpdate> updates = Enqueue(request, drafts: true, abandoned.Token, cancellation);
        try
        {
            await foreach (GenerationUpdate update in updates.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
                yield return update;
        }
        finally
        {
            await abandoned.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Close();
        _worker.GetAwaiter().GetResult();
        _closing.Dispose();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Close();
        await _worker.ConfigureAwait(false);
        _closing.Dispose();
    }

    private void Close()
    {
        if (_waiting.Writer.TryComplete()) _closing.Cancel();
    }

    private ChannelReader<GenerationUpdate> Enqueue(GenerationRequest request, bool drafts, CancellationToken cancellation, CancellationToken reported)
    {
        ArgumentNullException.ThrowIfNull(request);
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
        // Options and request are judged here, where the caller sees the error.
        ResolvedGenerationOptions options = ResolvedGenerationOptions.Resolve(request.Options?.Over(_options) ?? _options, _file, _model.Config);
        var row = new DenoisingRow(Interlocked.Increment(ref _count) - 1, request, options, _model.Config);
        var waiting = new Waiting(row, request, drafts, cancellation, reported);
        // Before it is queued: an answer that is complete at once must find what it has to unregister.
        waiting.LeaveWhenCancelled();
        if (_waiting.Writer.TryWrite(waiting)) return waiting.Updates.Reader;
        var closed = new ObjectDisposedException(nameof(GenerationQueue));
        if (waiting.Join()) waiting.Complete(closed);
        throw closed;
    }

    private void Work()
    {
        TorchThreads.SetHere(_threads);
        using var scope = NewDisposeScope();
        var running = new Dictionary<DenoisingRow, Waiting>();
        DenoisingBatch? batch = null;
        try
        {
            batch = new DenoisingBatch(_model);
            while (WaitForWork(running.Count))
            {
                Admit(batch, running);
                foreach (Waiting waiting in running.Values.Where(w => w.Cancellation.IsCancellationRequested).ToArray()) Leave(waiting, waiting.Cancelled());
                if (batch.Rows.Any(row => !row.Finished))
                    batch.Step(
                        watch: (row, step) =>
                        {
                            if (running[row].Drafts) running[row].Tell(new DraftUpdate(step.Canvas, step.Step, [.. step.Draft], [.. step.Settled], step.MeanEntropy));
                        },
                        failed: (row, error) => running[row].Failure = error);
                foreach (Waiting waiting in running.Values.Where(w => w.Failure is not null).ToArray()) Leave(waiting, waiting.Failure);
                CanvasGenerator.Turn(batch, (row, update) => running[row].Tell(update));
                foreach (Waiting waiting in running.Values.Where(w => w.Row.Ended).ToArray())
                {
                    running.Remove(waiting.Row);
                    waiting.Complete(null);
                }
            }
            End(new ObjectDisposedException(nameof(GenerationQueue)));
        }
        catch (Exception e)
        {
            // What broke a pass breaks every answer in it; callers get the error, and the queue takes no more.
            _waiting.Writer.TryComplete();
            End(e);
        }
        finally
        {
            batch?.Dispose();
        }

        void Leave(Waiting waiting, Exception? error)
        {
            running.Remove(waiting.Row);
            batch.Remove(waiting.Row);
            waiting.Complete(error);
        }

        void End(Exception error)
        {
            foreach (Waiting waiting in running.Values) waiting.Complete(error);
            while (_waiting.Reader.TryRead(out Waiting? waiting))
                if (waiting.Join()) waiting.Complete(error);
        }
    }

    /// <summary>False when the queue is closed. Blocks while there is nothing to do.</summary>
    private bool WaitForWork(int running)
    {
        if (_closing.IsCancellationRequested) return false;
        if (running > 0) return true;
        return _waiting.Reader.WaitToReadAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult() && !_closing.IsCancellationRequested;
    }

    private void Admit(DenoisingBatch batch, Dictionary<DenoisingRow, Waiting> running)
    {
        var joining = new List<Waiting>();
        while (running.Count + joining.Count < _batchSize && _waiting.Reader.TryRead(out Waiting? next))
        {
            if (next.Join()) joining.Add(next);
        }
        if (joining.Count == 0) return;
        joining.Sort((a, b) => b.Row.Prompt.Length.CompareTo(a.Row.Prompt.Length));
        foreach (Waiting waiting in joining) running.Add(waiting.Row, waiting);
        // What a request has in common with the one before it, a system turn say, the next will have too.
        GenerationRequest[] requests = [.. joining.Select(w => w.Request)];
        int[] prefix = SharedPrefix.Of(_previous is null ? requests : [.. requests, _previous]);
        if (prefix.Length == 0) prefix = SharedPrefix.Of(requests);
        _previous = requests[0];
        batch.Admit([.. joining.Select(w => w.Row)], prefix);
        foreach (Waiting waiting in joining) waiting.Row.BeginCanvas();
    }

    /// <summary>A request on its way.</summary>
    private sealed class Waiting(DenoisingRow row, GenerationRequest request, bool drafts, CancellationToken cancellation, CancellationToken reported)
    {
        private const int Queued = 0, Joined = 1, Left = 2;
        private CancellationTokenRegistration _registration;
        private int _state;

        public DenoisingRow Row => row;

        public GenerationRequest Request => request;

        public bool Drafts => drafts;

        public CancellationToken Cancellation => cancellation;

        public Channel<GenerationUpdate> Updates { get; } = Channel.CreateUnbounded<GenerationUpdate>(new UnboundedChannelOptions { SingleReader = true });

        public Exception? Failure { get; set; }

        /// <summary>A cancelled request need not wait for room in the batch to learn of it.</summary>
        public void LeaveWhenCancelled() => _registration = cancellation.UnsafeRegister(
            static waiting =>
            {
                var self = (Waiting)waiting!;
                if (Interlocked.CompareExchange(ref self._state, Left, Queued) == Queued) self.Complete(self.Cancelled());
            },
            this);

        /// <summary>False where the request has left already.</summary>
        public bool Join() => Interlocked.CompareExchange(ref _state, Joined, Queued) == Queued;

        /// <summary>The error of a cancelled answer; null where it is returned as it stands.</summary>
        public OperationCanceledException? Cancelled() => row.Options.ReturnOnCancellation ? null : new OperationCanceledException(reported);

        public void Tell(GenerationUpdate update) => Updates.Writer.TryWrite(update);

        /// <summary>Ends with the result, or with an error.</summary>
        public void Complete(Exception? error)
        {
            if (error is null) Tell(new CompletedUpdate(row.Result()));
            Updates.Writer.TryComplete(error);
            _registration.Unregister();
            row.Dispose();
        }
    }
}
