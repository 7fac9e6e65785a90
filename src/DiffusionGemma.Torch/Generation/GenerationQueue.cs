using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Answers requests of any number of callers as they arrive, in one batch on a thread of its own: a request joins between two decoder
/// passes, and leaves with its answer.
/// </summary>
/// <remarks>
/// The queue uses the model exclusively while it lives: no other code may use it, or set its adapter. Disposing ends running answers with
/// an <see cref="ObjectDisposedException"/>, and does not dispose the model.
/// </remarks>
public sealed class GenerationQueue : IDisposable, IAsyncDisposable
{
    private readonly DiffusionGemmaModel _model;
    private readonly GenerationOptions? _options;
    private readonly GenerationConfigFile _file;
    private readonly int _threads = get_num_threads();
    private readonly Channel<QueuedRequest> _waiting = Channel.CreateUnbounded<QueuedRequest>(
        new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _closing = new();
    private readonly QueueLoad _load = new();
    private readonly RunningRequests _running;
    private readonly Task _worker;
    private Exception? _failure;
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
        (_model, _options, _file) = (model, options, new GenerationConfigFile(model.Folder));
        ResolvedGenerationOptions.Resolve(options, _file, model.Config);
        _running = new RunningRequests(_waiting.Reader, batchSize, _load, _closing.Token);
        _worker = Task.Factory.StartNew(Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>The model, for reading its properties only.</summary>
    public DiffusionGemmaModel Model => _model;

    /// <summary>The load of the queue at this moment.</summary>
    public GenerationQueueStatus Status => new(
        _load.Waiting, _load.Running, _load.SinceLastPass, _load.StalledFor, Volatile.Read(ref _failure));

    /// <summary>Answers one request.</summary>
    /// <param name="request">The prompt.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    /// <exception cref="ArgumentException">The request cannot be answered, or an option is out of range.</exception>
    /// <exception cref="InvalidOperationException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, without <see cref="GenerationOptions.ReturnOnCancellation"/>.</exception>
    public async Task<GenerationResult> GenerateAsync(GenerationRequest request, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        using Activity? activity = DenoisingTelemetry.StartRequest(request);
        try
        {
            ChannelReader<GenerationUpdate> updates = Enqueue(request, drafts: false, cancellation, cancellation);
            await foreach (GenerationUpdate update in updates.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
            {
                if (update is not CompletedUpdate completed) continue;
                activity?.SetResult(completed.Result);
                return completed.Result;
            }
            throw new InvalidOperationException("The queue ended an answer without a result.");
        }
        catch (Exception e)
        {
            activity?.SetStatus(ActivityStatusCode.Error, e.GetType().Name);
            throw;
        }
    }

    /// <summary>Answers one request as a stream of denoising steps, finished canvases and the answer.</summary>
    /// <param name="request">The prompt.</param>
    /// <param name="cancellation">Checked before every decoder pass. To stop reading the stream cancels too.</param>
    /// <inheritdoc cref="GenerateAsync" path="/exception"/>
    public async IAsyncEnumerable<GenerationUpdate> StreamAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        using Activity? activity = DenoisingTelemetry.StartRequest(request);
        activity?.SetStatus(ActivityStatusCode.Error, "the answer was not completed");        // until it is
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        ChannelReader<GenerationUpdate> updates = Enqueue(request, drafts: true, abandoned.Token, cancellation);
        try
        {
            await foreach (GenerationUpdate update in updates.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
            {
                if (update is CompletedUpdate completed) activity?.SetResult(completed.Result);
                yield return update;
            }
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

    private ChannelReader<GenerationUpdate> Enqueue(
        GenerationRequest request, bool drafts, CancellationToken cancellation, CancellationToken reported)
    {
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
        // Options and request are checked here, where the caller gets the exception.
        ResolvedGenerationOptions options = ResolvedGenerationOptions.Resolve(
            request.Options?.Over(_options) ?? _options, _file, _model.Config);
        var row = new DenoisingRow(Interlocked.Increment(ref _count) - 1, request, options, _model);
        var queued = new QueuedRequest(row, request, drafts, _load, cancellation, reported);
        _load.Enter();
        // Before it is queued: a request that completes at once unregisters the callback.
        queued.LeaveWhenCancelled();
        if (_waiting.Writer.TryWrite(queued)) return queued.Updates;
        var closed = new ObjectDisposedException(nameof(GenerationQueue));
        if (queued.TryJoin()) queued.Complete(closed);
        throw closed;
    }

    private void Work()
    {
        TorchThreads.SetHere(_threads);
        using var scope = NewDisposeScope();
        Exception end = new ObjectDisposedException(nameof(GenerationQueue));
        try
        {
            using var loop = new DenoisingLoop(_model);
            loop.Run(_running);
        }
        catch (Exception e)
        {
            // An error that is no single row's ends every answer, and the queue takes no more requests.
            _waiting.Writer.TryComplete();
            Volatile.Write(ref _failure, end = e);
        }
        _running.Fail(end);
        while (_waiting.Reader.TryRead(out QueuedRequest? request))
            if (request.TryJoin()) request.Complete(end);
    }
}
