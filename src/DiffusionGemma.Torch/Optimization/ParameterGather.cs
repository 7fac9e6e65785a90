using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Gathers whole tensors on the first rank from the parts of all ranks, one at a time and in the order in which it requests them, so that
/// no rank holds the whole model in memory.
/// </summary>
internal static class ParameterGather
{
    private const long Done = -1;

    /// <summary>Runs <paramref name="write"/> on the first rank; the other ranks send the parts that it requests. A collective.</summary>
    /// <param name="ranks">All ranks.</param>
    /// <param name="part">
    /// Returns for the n-th tensor this rank's elements [k], the index of the first of them in the rank's flattened parameter, and that
    /// parameter.
    /// </param>
    /// <param name="write">Gets a function that returns the n-th tensor whole, on the CPU, in the caller's scope.</param>
    public static void Run(
        RankGroups ranks, Func<int, (Tensor Elements, long First, TrainedParameter Parameter)> part, Action<Func<int, Tensor>> write)
    {
        using IDisposable quiet = no_grad();
        if (!ranks.IsFirst)
        {
            while (BroadcastRequest(ranks, Done) is long n and not Done) _ = Gather(ranks, part((int)n));
            return;
        }
        try
        {
            write(n =>
            {
                BroadcastRequest(ranks, n);
                return Gather(ranks, part(n))!;
            });
        }
        finally
        {
            BroadcastRequest(ranks, Done);
        }
    }

    private static long BroadcastRequest(RankGroups ranks, long n)
    {
        using var scope = NewDisposeScope();
        Tensor number = tensor(n, device: ranks.Device);
        ranks.World.Broadcast(number, root: 0);
        return number.cpu().item<long>();
    }

    private static Tensor? Gather(RankGroups ranks, (Tensor Elements, long First, TrainedParameter Parameter) part)
    {
        using var scope = NewDisposeScope();
        int size = ranks.World.Size;
        Tensor ranges = zeros(size, 2, dtype: ScalarType.Int64, device: ranks.Device);
        ranks.World.AllGather(tensor(new[] { part.First, part.Elements.shape[0] }, device: ranks.Device), ranges);
        long[] starts = ranges.cpu().data<long>().ToArray();
        long[] counts = [.. Enumerable.Range(0, size).Select(rank => starts[2 * rank + 1])];

        long[] sent = new long[size], received = ranks.IsFirst ? counts : new long[size];
        sent[0] = part.Elements.shape[0];
        Tensor arrived = empty(received.Sum(), dtype: part.Elements.dtype, device: ranks.Device);
        ranks.World.AllToAll(part.Elements.contiguous(), sent, arrived, received);
        if (!ranks.IsFirst) return null;

        (TrainedParameter parameter, ExpertSlice slice) = (part.Parameter, part.Parameter.Slice);
        int owners = slice == ExpertSlice.None ? 1 : ranks.Experts.Size;
        Tensor[] pieces = arrived.cpu().split(counts, 0);
        Tensor whole = empty(slice.WholeShape(parameter.Value.shape, owners), dtype: part.Elements.dtype, device: CPU);
        for (int owner = 0; owner < owners; owner++)
        {
            Tensor own = owners == 1 ? whole.view(-1) : empty(parameter.Value.numel(), dtype: whole.dtype, device: CPU);
            for (int rank = owner; rank < size; rank += owners)
                if (counts[rank] > 0) own.narrow(0, starts[2 * rank], counts[rank]).copy_(pieces[rank]);
            if (owners > 1) slice.CopyTo(own, whole, owner, owners);
        }
        return whole.MoveToOuterDisposeScope();
    }
}
