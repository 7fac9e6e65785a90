using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Whole tensors on the first rank, out of the parts that ranks have, one at a time and in the order in which it asks: a model never stands in one
/// rank's memory.
/// </summary>
internal static class Gathering
{
    private const long Done = -1;

    /// <summary>Runs <paramref name="write"/> on the first rank; the other ranks give it what it asks for. A collective.</summary>
    /// <param name="ranks">All ranks.</param>
    /// <param name="part">
    /// Of the n-th tensor: this rank's numbers, in one dimension; where they begin in the rank's flattened parameter; that parameter.
    /// </param>
    /// <param name="write">Is given a function that returns the n-th tensor whole, on the CPU, for the caller's scope.</param>
    public static void Run(RankGroups ranks, Func<int, (Tensor Numbers, long First, TrainedParameter Parameter)> part, Action<Func<int, Tensor>> write)
    {
        using IDisposable quiet = no_grad();
        if (!ranks.IsFirst)
        {
            while (Asked(ranks, Done) is long n and not Done) _ = Gather(ranks, part((int)n));
            return;
        }
        try
        {
            write(n =>
            {
                Asked(ranks, n);
                return Gather(ranks, part(n))!;
            });
        }
        finally
        {
            Asked(ranks, Done);
        }
    }

    private static long Asked(RankGroups ranks, long n)
    {
        using var scope = NewDisposeScope();
        Tensor number = tensor(n, device: ranks.Device);
        ranks.World.Broadcast(number, root: 0);
        return number.cpu().item<long>();
    }

    private static Tensor? Gather(RankGroups ranks, (Tensor Numbers, long First, TrainedParameter Parameter) part)
    {
        using var scope = NewDisposeScope();
        int size = ranks.World.Size;
        Tensor told = zeros(size, 2, dtype: ScalarType.Int64, device: ranks.Device);
        ranks.World.AllGather(tensor(new[] { part.First, part.Numbers.shape[0] }, device: ranks.Device), told);
        long[] places = told.cpu().data<long>().ToArray();
        long[] counts = [.. Enumerable.Range(0, size).Select(rank => places[2 * rank + 1])];

        long[] sent = new long[size], received = ranks.IsFirst ? counts : new long[size];
        sent[0] = part.Numbers.shape[0];
        Tensor arrived = empty(received.Sum(), dtype: part.Numbers.dtype, device: ranks.Device);
        ranks.World.AllToAll(part.Numbers.contiguous(), sent, arrived, received);
        if (!ranks.IsFirst) return null;

        (TrainedParameter parameter, ExpertSlice slice) = (part.Parameter, part.Parameter.Slice);
        int owners = slice == ExpertSlice.None ? 1 : ranks.Experts.Size;
        Tensor[] pieces = arrived.cpu().split(counts, 0);
        Tensor whole = empty(slice.WholeShape(parameter.Value.shape, owners), dtype: part.Numbers.dtype);
        for (int owner = 0; owner < owners; owner++)
        {
            Tensor own = owners == 1 ? whole.view(-1) : empty(parameter.Value.numel(), dtype: whole.dtype);
            for (int rank = owner; rank < size; rank += owners)
                if (counts[rank] > 0) own.narrow(0, places[2 * rank], counts[rank]).copy_(pieces[rank]);
            if (owners > 1) slice.Place(own, whole, owner, owners);
        }
        return whole.MoveToOuterDisposeScope();
    }
}
