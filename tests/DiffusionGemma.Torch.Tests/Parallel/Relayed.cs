using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A group that passes everything on to another, and does something before each collective.</summary>
internal class Relayed(IProcessGroup inner, Action<string>? before = null) : IProcessGroup
{
    public virtual int Rank => inner.Rank;

    public virtual int Size => inner.Size;

    public TimeSpan Timeout => inner.Timeout;

    public string Activity
    {
        get => inner.Activity;
        set => inner.Activity = value;
    }

    public void AllReduce(Tensor tensor)
    {
        before?.Invoke(nameof(AllReduce));
        inner.AllReduce(tensor);
    }

    public void ReduceScatter(Tensor input, Tensor output)
    {
        before?.Invoke(nameof(ReduceScatter));
        inner.ReduceScatter(input, output);
    }

    public void AllGather(Tensor input, Tensor output)
    {
        before?.Invoke(nameof(AllGather));
        inner.AllGather(input, output);
    }

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received)
    {
        before?.Invoke(nameof(AllToAll));
        inner.AllToAll(input, sent, output, received);
    }

    public void Broadcast(Tensor tensor, int root)
    {
        before?.Invoke(nameof(Broadcast));
        inner.Broadcast(tensor, root);
    }

    public void Barrier()
    {
        before?.Invoke(nameof(Barrier));
        inner.Barrier();
    }

    public IProcessGroup Split(int color)
    {
        before?.Invoke(nameof(Split));
        return new Relayed(inner.Split(color), before);
    }

    public void Abort(Exception cause) => inner.Abort(cause);

    public void Dispose() => inner.Dispose();
}
