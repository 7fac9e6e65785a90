using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>
/// One model of an application: it is loaded once, in the background, and answers any number of callers in one batch until it is disposed.
/// </summary>
public sealed partial class DiffusionGemmaService : IDisposable, IAsyncDisposable
{
    private readonly Func<ICollection<IDisposable>, DiffusionGemmaChatClient> _load;
    private readonly List<IDisposable> _owned = [];
    private readonly DiffusionGemmaServiceOptions _options;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private Task<DiffusionGemmaChatClient>? _loading;
    private bool _isDisposed;

    internal DiffusionGemmaService(
        string checkpoint, Func<ICollection<IDisposable>, DiffusionGemmaChatClient> load, DiffusionGemmaServiceOptions options,
        ILogger logger) =>
        (Checkpoint, _load, _options, _logger) = (checkpoint, load, options, logger);

    /// <summary>The folder, the Hub's id or the name that the model was registered with.</summary>
    public string Checkpoint { get; }

    /// <summary>The client, once the weights are loaded; null before, and where loading has failed.</summary>
    public DiffusionGemmaChatClient? Client => _loading is { IsCompletedSuccessfully: true } loaded ? loaded.Result : null;

    /// <summary>The error that ended loading; null: there was none so far.</summary>
    public Exception? LoadFailure => _loading is { IsFaulted: true } failed ? failed.Exception!.InnerException : null;

    /// <summary>True from the first <see cref="GetClientAsync"/> on.</summary>
    public bool IsLoading => _loading is { IsCompleted: false };

    internal TimeSpan StallTimeout => _options.StallTimeout;

    internal bool LoadsAtStart => _options.LoadsAtStart;

    /// <summary>
    /// Waits for the client; the first call begins to load it. After a failure every call throws that failure: the process is to be
    /// restarted with what the message asks for.
    /// </summary>
    /// <param name="cancellation">Ends the wait, not the loading.</param>
    /// <exception cref="ObjectDisposedException">The service was disposed.</exception>
    /// <exception cref="HubException">The Hub does not give the checkpoint or the adapter.</exception>
    /// <exception cref="CheckpointException">The folder is no checkpoint that can be read.</exception>
    /// <exception cref="AdapterException">The adapter cannot be read, or does not fit.</exception>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer or chat template.</exception>
    public Task<DiffusionGemmaChatClient> GetClientAsync(CancellationToken cancellation = default)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            // A thread of its own: loading reads files, or waits for a download, for minutes.
            _loading ??= Task.Factory.StartNew(Load, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        return _loading.WaitAsync(cancellation);
    }

    /// <summary>Waits for loading where it has begun, ends running answers, and frees the model.</summary>
    public void Dispose()
    {
        if (Close() is { } loading) Free(loading);
    }

    /// <inheritdoc cref="Dispose"/>
    public async ValueTask DisposeAsync()
    {
        if (Close() is not { } loading) return;
        await ((Task)loading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Free(loading);
    }

    private Task<DiffusionGemmaChatClient>? Close()
    {
        lock (_gate)
        {
            if (_isDisposed) return null;
            _isDisposed = true;
            return _loading;
        }
    }

    private void Free(Task<DiffusionGemmaChatClient> loading)
    {
        ((Task)loading).ContinueWith(static _ => { }, TaskScheduler.Default).Wait();
        if (loading.IsCompletedSuccessfully) loading.Result.Dispose();
        foreach (IDisposable adapter in _owned) adapter.Dispose();
    }

    private DiffusionGemmaChatClient Load()
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            DiffusionGemmaChatClient client = _load(_owned);
            LogLoaded(Checkpoint, Stopwatch.GetElapsedTime(start).TotalSeconds);
            foreach (string notice in client.Notices) LogNotice(Checkpoint, notice);
            foreach ((string name, LoraAdapter adapter) in client.Adapters)
                foreach (string notice in adapter.Notices) LogNotice(name, notice);
            return client;
        }
        catch (Exception e)
        {
            LogLoadFailure(e, Checkpoint);
            throw;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Loaded {Checkpoint} in {Seconds:0.0} s")]
    private partial void LogLoaded(string checkpoint, double seconds);

    [LoggerMessage(3, LogLevel.Warning, "{Model}: {Notice}")]
    private partial void LogNotice(string model, string notice);

    [LoggerMessage(2, LogLevel.Critical, "Could not load {Checkpoint}")]
    private partial void LogLoadFailure(Exception error, string checkpoint);
}
