using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The groups that one rank trains in. n = dp · ep ranks: each run of ep ranks owns one set of all the experts between them, and there are dp such sets.
/// <code>
/// n = 4, ep = 2      ranks        0    1    2    3
///                    experts      low  high low  high
///                    Experts      {0   1}   {2   3}        tokens travel
///                    Replicas     {0        2}             gradients of the low experts are summed (and of the high ones {1 3})
///                    World        {0   1    2    3}        all other gradients are summed
/// </code>
/// </summary>
/// <param name="Device">The rank's own.</param>
/// <param name="World">All ranks.</param>
/// <param name="Experts">Ranks that own one set of the experts between them.</param>
/// <param name="Replicas">Ranks that own the same experts.</param>
internal sealed record RankGroups(Device Device, IProcessGroup World, IProcessGroup Experts, IProcessGroup Replicas) : IDisposable
{
    /// <summary>The first rank of this rank's set of experts, in the world.</summary>
    public int FirstOfSet => World.Rank - Experts.Rank;

    /// <summary>Whether all ranks leave their work at the same place, so that nobody has to be told: an exception that follows is no rank's failure.</summary>
    public bool EndTogether { get; set; }

    /// <summary>Whether this is the rank that writes files.</summary>
    public bool IsFirst => World.Rank == 0;

    /// <summary>One rank alone.</summary>
    public static RankGroups Single(Device device) => new(device, new SingleRank(), new SingleRank(), new SingleRank());

    /// <summary>A collective of all ranks.</summary>
    /// <param name="device">The rank's own.</param>
    /// <param name="world">All ranks; stays the caller's.</param>
    /// <param name="expertParallel">ep; divides the number of ranks.</param>
    public static RankGroups Of(Device device, IProcessGroup world, int expertParallel) =>
        new(device, world, world.Split(world.Rank / expertParallel), world.Split(world.Rank % expertParallel));

    /// <summary>Sums of numbers, as many on every rank, over all ranks. A collective.</summary>
    public double[] Sum(params double[] numbers)
    {
        if (World.Size == 1) return numbers;
        using var scope = NewDisposeScope();
        Tensor sums = tensor(numbers, dtype: ScalarType.Float64, device: Device);
        World.AllReduce(sums);
        return sums.cpu().data<double>().ToArray();
    }

    /// <summary>Whether it is so on any rank. A collective.</summary>
    public bool Any(bool here) => Sum(here ? 1 : 0)[0] > 0;

    /// <summary>Ends all ranks at the same place where one of them is to end. A collective.</summary>
    /// <exception cref="OperationCanceledException">On every rank.</exception>
    public void RequireNoneCancelled(CancellationToken cancellation)
    {
        if (!Any(cancellation.IsCancellationRequested)) return;
        EndTogether = true;
        throw new OperationCanceledException(cancellation);
    }

    /// <summary>Frees the groups that were split off.</summary>
    public void Dispose()
    {
        Experts.Dispose();
        Replicas.Dispose();
    }
}
