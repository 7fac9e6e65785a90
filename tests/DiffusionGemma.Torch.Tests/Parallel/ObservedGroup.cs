using System.Diagnostics;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One collective as a rank saw it.</summary>
/// <param name="Operation">Which.</param>
/// <param name="Bytes">Handed to it: of the whole tensor, or of all rows sent, this rank's own among them.</param>
/// <param name="Start">When the rank called it, as <see cref="Stopwatch.GetTimestamp"/>.</param>
/// <param name="End">When it returned.</param>
internal readonly record struct ObservedCollective(Collective Operation, long Bytes, long Start, long End);

/// <summary>A process group that notes every collective of its rank, those of groups split off too.</summary>
internal sealed class ObservedGroup(IProcessGroup inner, List<ObservedCollective> log) : IProcessGroup
{
    public int Rank => inner.Rank;

    public int Size => inner.Size;

    public TimeSpan Timeout => inner.Timeout;

    public string At
    {
        get => inner.At;
        set => inner.At = value;
    }

    public void AllReduce(Tensor tensor) => Note(Collective.AllReduce, tensor, () => inner.AllReduce(tensor));

    public void ReduceScatter(Tensor input, Tensor output) => Note(Collective.ReduceScatter, input, () => inner.ReduceScatter(input, output));

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
        log.Add(new ObservedCollective(operation, tensor is null ? 0 : tensor.numel() * tensor.element_size(), start, Stopwatch.GetTimestamp()));
    }
}
