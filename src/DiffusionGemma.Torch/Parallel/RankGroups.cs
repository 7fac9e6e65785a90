using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The process groups that one rank trains in. n = dp · ep ranks: each ep consecutive ranks own one set of all experts between them, and
/// there are dp such sets.
/// <code>
/// n = 4, ep = 2      ranks        0    1    2    3
///                    experts      low  high low  high
///                    Experts      {0   1}   {2   3}        tokens travel
///                    Replicas     {0        2}             gradients of the low experts are summed (and of the high ones {1 3})
///                    World        {0   1    2    3}        all other gradients are summed
/// </code>
/// </summary>
/// <param name="Device">The rank's own device.</param>
/// <param name="World">All ranks.</param>
/// <param name="Experts">The ranks that own one set of experts between them.</param>
/// <param name="Replicas">The ranks that own the same experts.</param>
internal sealed record RankGroups(Device Device, IProcessGroup World, IProcessGroup Experts, IProcessGroup Replicas) : IDisposable
{
    /// <summary>The number in the world of the first rank of this rank's set of experts.</summary>
    public int FirstRankOfExpertSet => World.Rank - Experts.Rank;

    /// <summary>
    /// True when all ranks end at the same place: an exception that follows is no rank's failure, and no other rank waits for this one.
    /// </summary>
    public bool EndTogether { get; set; }

    /// <summary>True for the rank that writes files.</summary>
    public bool IsFirst => World.Rank == 0;

    /// <summary>The groups of a single rank.</summary>
    public static RankGroups Single(Device device) => new(device, new SingleRank(), new SingleRank(), new SingleRank());

    /// <summary>Splits the groups of experts and replicas off the world. A collective of all ranks.</summary>
    /// <param name="device">The rank's own device.</param>
    /// <param name="world">All ranks; the caller disposes it.</param>
    /// <param name="expertParallel">ep; divides the number of ranks.</param>
    public static RankGroups Split(Device device, IProcessGroup world, int expertParallel) =>
        new(device, world, world.Split(world.Rank / expertParallel), world.Split(world.Rank % expertParallel));

    /// <summary>Sums each number over all ranks, which give the same count of numbers. A collective.</summary>
    public double[] Sum(params double[] numbers)
    {
        if (World.Size == 1) return numbers;
        using var scope = NewDisposeScope();
        Tensor sums = tensor(numbers, dtype: ScalarType.Float64, device: Device);
        World.AllReduce(sums);
        return IHostReads.For(Device).Numbers(sums);
    }

    /// <summary>Returns true on every rank if any rank gives true. A collective.</summary>
    public bool Any(bool value) => Sum(value ? 1 : 0)[0] > 0;

    /// <summary>Throws on every rank, at the same place, if any rank is cancelled. A collective.</summary>
    /// <exception cref="OperationCanceledException">Cancellation was requested on some rank.</exception>
    public void ThrowIfAnyCancelled(CancellationToken cancellation)
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
