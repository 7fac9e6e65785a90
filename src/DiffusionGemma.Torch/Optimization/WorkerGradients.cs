using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>What one of several threads, which work on micro-batches of one step at once, adds its gradients up in.</summary>
internal sealed class WorkerGradients(IReadOnlyList<ParameterBucket> buckets) : IDisposable
{
    private readonly Dictionary<Tensor, Tensor> _ofParameters = new(ReferenceEqualityComparer.Instance);

    /// <summary>One a bucket.</summary>
    public IReadOnlyList<FlatBuffer> Buffers { get; } = [.. buckets.Select(bucket => bucket.NewGradients())];

    /// <summary>From now on the calling thread's gradients belong here.</summary>
    public void Use()
    {
        if (_ofParameters.Count == 0)
            foreach ((Tensor parameter, Tensor gradient) in buckets.Zip(Buffers).SelectMany(pair => pair.First.Parameters.Zip(pair.Second.Parts)))
                _ofParameters[parameter] = gradient;
        GradientBuffers.OfThisThread = _ofParameters;
    }

    public void Dispose()
    {
        foreach (FlatBuffer buffer in Buffers) buffer.Dispose();
    }
}
