using System.Runtime.ExceptionServices;

namespace DiffusionGemma;

/// <summary>Supplies a denoising loop with the requests of one call, and collects their results.</summary>
internal sealed class RequestList : IDenoisingClient
{
    private readonly DenoisingRow[] _rows;
    private readonly Queue<DenoisingRow> _waiting;
    private readonly Dictionary<LoraAdapter, int[]> _sharedPrefixes;
    private readonly int _batchSize;
    private readonly GenerationResult?[] _results;
    private readonly GenerationCallbacks _callbacks;
    private readonly CancellationToken _cancellation;

    /// <param name="rows">The rows of those requests that can be answered.</param>
    /// <param name="requests">All requests; a row's index is its request's.</param>
    /// <param name="batchSize">Rows denoised together; null: all of them, in their order.</param>
    /// <param name="callbacks">The caller's callbacks.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    public RequestList(
        DenoisingRow[] rows, IReadOnlyList<GenerationRequest> requests, int? batchSize, GenerationCallbacks callbacks,
        CancellationToken cancellation)
    {
        (_rows, _callbacks, _cancellation) = (rows, callbacks, cancellation);
        (_batchSize, _results) = (batchSize ?? int.MaxValue, new GenerationResult?[requests.Count]);
        // Longest first: rows that are encoded together are of like lengths, and the last to finish are the short ones.
        _waiting = new(batchSize is null ? rows : rows.OrderByDescending(row => row.Prompt.Length));
        _sharedPrefixes = [];
        if (batchSize is null) return;
        foreach (IGrouping<LoraAdapter, DenoisingRow> group in rows.GroupBy(row => row.Adapter))
            _sharedPrefixes[group.Key] = SharedPrefix.Find([.. group.Select(row => requests[row.Index])]);
    }

    /// <summary>One result a request; null where it failed, or was cancelled.</summary>
    public IReadOnlyList<GenerationResult?> Results => _results;

    /// <inheritdoc/>
    public Admission? Admit(int running)
    {
        if (running == 0 && _waiting.Count == 0) return null;
        _cancellation.ThrowIfCancellationRequested();
        _callbacks.BeforePass?.Invoke();
        var joining = new List<DenoisingRow>();
        while (_waiting.Count > 0 && running + joining.Count < _batchSize) joining.Add(_waiting.Dequeue());
        return new Admission(joining, _sharedPrefixes);
    }

    /// <summary>Returns every row that has no result as far as its answer is committed.</summary>
    public void CompleteCancelled()
    {
        foreach (DenoisingRow row in _rows) _results[row.Index] ??= row.Result();
    }

    /// <summary>False: one token cancels all rows, by an exception.</summary>
    public bool IsCancelled(DenoisingRow row) => false;

    /// <inheritdoc/>
    public void OnStep(DenoisingRow row, DenoisingStep step) => _callbacks.Drafts?.Report(step);

    /// <inheritdoc/>
    public void OnCanvas(DenoisingRow row, CanvasUpdate canvas)
    {
    }

    /// <inheritdoc/>
    public void OnCompleted(DenoisingRow row) => _results[row.Index] = row.Result();

    /// <inheritdoc/>
    public void OnCancelled(DenoisingRow row)
    {
    }

    /// <inheritdoc/>
    public void OnFailed(DenoisingRow row, Exception error)
    {
        if (_callbacks.Failed is null) ExceptionDispatchInfo.Throw(error);
        _callbacks.Failed(row.Index, error);
    }
}
