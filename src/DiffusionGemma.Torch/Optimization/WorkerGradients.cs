namespace DiffusionGemma;

/// <summary>Gradients of one of several threads that work on micro-batches of one step at once.</summary>
internal sealed class WorkerGradients : IDisposable
{
    public WorkerGradients(IReadOnlyList<ParameterBucket> buckets)
    {
        Buffers = [.. buckets.Select(bucket => bucket.NewGradients())];
        Sink = new GradientSink(buckets.Zip(Buffers).SelectMany(pair => pair.First.Parameters.Zip(pair.Second.Parts)));
    }

    /// <summary>One a bucket.</summary>
    public IReadOnlyList<FlatBuffer> Buffers { get; }

    /// <summary>Maps the parameters to this thread's gradients.</summary>
    public GradientSink Sink { get; }

    public void Dispose()
    {
        foreach (FlatBuffer buffer in Buffers) buffer.Dispose();
    }
}
