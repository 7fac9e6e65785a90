namespace DiffusionGemma;

/// <summary>Engine over a queue; it disposes the queue and the model where the client owns them.</summary>
internal sealed class QueueEngine(GenerationQueue queue, bool ownsQueue, params IDisposable?[] owned) : IAnswerEngine
{
    public GenerationQueue Queue => queue;

    public IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, CancellationToken cancellation) =>
        queue.StreamAsync(request, cancellation);

    public void Dispose()
    {
        if (ownsQueue) queue.Dispose();
        foreach (IDisposable? own in owned) own?.Dispose();
    }
}
