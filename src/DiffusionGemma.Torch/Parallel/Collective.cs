namespace DiffusionGemma;

/// <summary>The operations of <see cref="IProcessGroup"/> that ranks must call together.</summary>
internal enum Collective
{
    AllReduce,
    ReduceScatter,
    AllGather,
    AllToAll,
    Broadcast,
    Barrier,
    Split,
}
