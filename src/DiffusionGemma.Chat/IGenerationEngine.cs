namespace DiffusionGemma;

/// <summary>What a chat client needs of a <see cref="GenerationQueue"/>.</summary>
internal interface IGenerationEngine : IDisposable
{
    IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, CancellationToken cancellation);
}

/// <summary>A queue over a loaded model.</summary>
internal sealed class QueueEngine(GenerationQueue queue) : IGenerationEngine
{
    public IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, CancellationToken cancellation) => queue.StreamAsync(request, cancellation);

    public void Dispose() => queue.Dispose();
}
