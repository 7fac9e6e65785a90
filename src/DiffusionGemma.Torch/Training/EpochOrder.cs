using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Rows of each step: epoch e visits the n rows as <c>randperm(n)</c> by a generator seeded <c>seed + e</c>, global batch b of it
/// takes positions [b·G, (b+1)·G), and an incomplete last batch is dropped.
/// </summary>
internal sealed class EpochOrder(int rows, int globalBatchSize, long seed, bool shuffle)
{
    private int _epoch = -1;
    private long[] _order = [];

    public int StepsPerEpoch => rows / globalBatchSize;

    /// <summary>The epoch of a step, and the indices of its rows.</summary>
    public (int Epoch, IReadOnlyList<int> Rows) Batch(int step)
    {
        int epoch = step / StepsPerEpoch, start = step % StepsPerEpoch * globalBatchSize;
        if (!shuffle) return (epoch, [.. Enumerable.Range(start, globalBatchSize)]);
        if (epoch != _epoch)
        {
            using var generator = HostDraws.Generator(Seeds.Epoch(seed, epoch));
            using Tensor order = HostDraws.Permutation(generator, rows);
            (_epoch, _order) = (epoch, order.data<long>().ToArray());
        }
        return (epoch, [.. _order.AsSpan(start, globalBatchSize).ToArray().Select(i => (int)i)]);
    }
}
