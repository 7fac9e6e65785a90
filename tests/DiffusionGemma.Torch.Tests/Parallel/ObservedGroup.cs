using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>A process group that logs every collective of its rank, those of groups split off too.</summary>
internal sealed class ObservedGroup(IProcessGroup inner, List<ObservedCollective> log) : IProcessGroup
{
    public int Rank => inner.Rank;

    public int Size => inner.Size;

    public TimeSpan Timeout => inner.Timeout;

    public string Activity
    {
        get => inner.Activity;
        set => inner.Activity = value;
    }

    public void AllReduce(Tensor tensor) => Note(Collective.AllReduce, tensor, () => inner.AllReduce(tensor));

    public void ReduceScatter(Tensor input, Tensor output) =>
        Note(Collective.ReduceScatter, input, () => inner.ReduceScatter(input, output));

    public void AllGather(Tensor input, Tensor output) => Note(Collective.AllGather, output, () => inner.AllGather(input, output));

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received) =>
        Note(Collective.AllToAll, input, () => inner.AllToAll(input, sent, output, received));

    public void Broadcast(Tensor tensor, int root) => Note(Collective.Broadcast, tensor, () => inner.Broadcast(tensor, root));

    public void Barrier() => Note(Collective.Barrier, null, inner.Barrier);

    public IProcessGroup Split(int color) => new ObservedGroup(inner.Split(color), log);

    public void Abort(Exception cause) => inner.Abort(cause);

    public void Dispose() => inner.Dispose();

    private void Note(Collective operation, Tensor? tensor, Action collective)
    {
        long start = Stopwatch.GetTimestamp();
        collective();
        long bytes = tensor is null ? 0 : tensor.numel() * tensor.element_size();
        log.Add(new ObservedCollective(operation, bytes, start, Stopwatch.GetTimestamp()));
    }
}
