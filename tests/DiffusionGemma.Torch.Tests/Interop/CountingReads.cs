using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Counts what a model reads back from its device.</summary>
internal sealed class CountingReads(Device device) : IHostReads
{
    private readonly IHostReads _reads = IHostReads.For(device);
    private int _count;

    /// <summary>Reads so far.</summary>
    public int Count => Volatile.Read(ref _count);

    public long[] CountsOf(Tensor ids, long classes) => Counted(_reads.CountsOf(ids, classes));

    public Tensor IndicesOf(Tensor mask) => Counted(_reads.IndicesOf(mask));

    public double[] Numbers(Tensor values) => Counted(_reads.Numbers(values));

    public Tensor OnHost(Tensor values) => Counted(_reads.OnHost(values));

    private T Counted<T>(T value)
    {
        Interlocked.Increment(ref _count);
        return value;
    }
}
