using System.Threading.Channels;

namespace DiffusionGemma;

/// <summary>Supplies a denoising loop with the requests of a queue, and writes what becomes of them to their streams.</summary>
/// <param name="waiting">Requests that wait for room in the batch.</param>
/// <param name="batchSize">Rows denoised together at most.</param>
/// <param name="load">Counts the queue's requests.</param>
/// <param name="closing">Cancelled when the queue is closed.</param>
internal sealed class RunningRequests(
    ChannelReader<QueuedRequest> waiting, int batchSize, QueueLoad load, CancellationToken closing) : IDenoisingClient
{
    private readonly Dictionary<DenoisingRow, QueuedRequest> _requests = [];
    private readonly Dictionary<LoraAdapter, GenerationRequest> _previous = [];       // the last request of each adapter

    /// <summary>
    /// Takes waiting requests as far as there is room; waits for one where none is running. Null when the queue is closed.
    /// </summary>
    public Admission? Admit(int running)
    {
        if (closing.IsCancellationRequested) return null;
        if (running == 0 && (!WaitForRequest() || closing.IsCancellationRequested)) return null;
        var joining = new List<QueuedRequest>();
        while (running + joining.Count < batchSize && waiting.TryRead(out QueuedRequest? next))
        {
            if (next.TryJoin()) joining.Add(next);
        }
        if (joining.Count == 0) return new Admission([]);
        joining.Sort((a, b) => b.Row.Prompt.Length.CompareTo(a.Row.Prompt.Length));
        foreach (QueuedRequest request in joining) _requests.Add(request.Row, request);
        foreach (LoraAdapter released in _previous.Keys.Where(adapter => adapter.IsDisposed).ToArray()) _previous.Remove(released);
        var sharedPrefixes = joining.GroupBy(request => request.Row.Adapter).ToDictionary(
            group => group.Key, group => FindSharedPrefix(group.Key, [.. group.Select(request => request.Request)]));
        return new Admission([.. joining.Select(request => request.Row)], sharedPrefixes);
    }

    /// <inheritdoc/>
    public bool IsCancelled(DenoisingRow row) => _requests[row].IsCancelled;

    /// <inheritdoc/>
    public void OnStep(DenoisingRow row, DenoisingStep step)
    {
        load.Pass();
        if (_requests[row].WantsDrafts)
            _requests[row].Write(new DraftUpdate(step.Canvas, step.Step, [.. step.Draft], [.. step.Settled], step.MeanEntropy)
            {
                Entropies = [.. step.Entropies],
            });
    }

    /// <inheritdoc/>
    public void OnCanvas(DenoisingRow row, CanvasUpdate canvas) => _requests[row].Write(canvas);

    /// <inheritdoc/>
    public void OnCompleted(DenoisingRow row) => Take(row).Complete(null);

    /// <inheritdoc/>
    public void OnCancelled(DenoisingRow row) => Take(row).CompleteCancelled();

    /// <inheritdoc/>
    public void OnFailed(DenoisingRow row, Exception error) => Take(row).Complete(error);

    /// <summary>Completes all requests in the batch with an error.</summary>
    public void Fail(Exception error)
    {
        foreach (QueuedRequest request in _requests.Values) request.Complete(error);
        _requests.Clear();
    }

    /// <summary>
    /// Finds what these requests of one adapter and the one before them begin with, a system turn for example: later ones are likely to
    /// begin with it too.
    /// </summary>
    private int[] FindSharedPrefix(LoraAdapter adapter, GenerationRequest[] requests)
    {
        int[] prefix = _previous.TryGetValue(adapter, out GenerationRequest? previous) ? SharedPrefix.Find([.. requests, previous]) : [];
        if (prefix.Length == 0) prefix = SharedPrefix.Find(requests);
        _previous[adapter] = requests[0];
        return prefix;
    }

    private bool WaitForRequest() => waiting.WaitToReadAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult();

    private QueuedRequest Take(DenoisingRow row)
    {
        _requests.Remove(row, out QueuedRequest? request);
        return request!;
    }
}
