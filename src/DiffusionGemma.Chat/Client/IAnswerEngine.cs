namespace DiffusionGemma;

/// <summary>Engine that answers requests: a queue over a model, or a test's script.</summary>
internal interface IAnswerEngine : IDisposable
{
    IAsyncEnumerable<GenerationUpdate> StreamAsync(GenerationRequest request, CancellationToken cancellation);
}
