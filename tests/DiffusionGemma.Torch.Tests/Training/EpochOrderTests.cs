using static TorchSharp.torch;

namespace DiffusionGemma;

public class EpochOrderTests : TorchTest
{
    [Fact]
    public void An_epoch_is_PyTorchs_permutation_in_global_batches()
    {
        var order = new EpochOrder(rows: 11, globalBatchSize: 3, seed: 42, shuffle: true);
        Assert.Equal(3, order.StepsPerEpoch);                                                   // two rows left over, and left out
        for (int step = 0; step < 9; step++)
        {
            using var generator = new Generator((ulong)(42 + step / 3));
            long[] permutation = randperm(11, generator: generator).data<long>().ToArray();
            (int epoch, IReadOnlyList<int> rows) = order.Batch(step);
            Assert.Equal(step / 3, epoch);
            Assert.Equal(permutation.Skip(step % 3 * 3).Take(3).Select(i => (int)i), rows);
        }
    }

    /// <summary>torch.randperm(10, generator=torch.Generator().manual_seed(0)) in PyTorch.</summary>
    [Fact]
    public void The_permutation_is_PyTorchs_own() =>
        Assert.Equal([4, 1, 7, 5, 3, 9, 0, 8, 6, 2], new EpochOrder(10, 10, seed: 0, shuffle: true).Batch(0).Rows);

    [Fact]
    public void Epochs_differ_and_a_step_can_be_asked_for_again()
    {
        var order = new EpochOrder(16, 16, seed: 1, shuffle: true);
        int[] first = [.. order.Batch(0).Rows], second = [.. order.Batch(1).Rows];
        Assert.NotEqual(first, second);
        Assert.Equal(first.Order(), second.Order());
        Assert.Equal(first, order.Batch(0).Rows);                                               // as a resumed run does
        Assert.NotEqual(first, new EpochOrder(16, 16, seed: 2, shuffle: true).Batch(0).Rows);
    }

    [Fact]
    public void Unshuffled_rows_come_as_they_are()
    {
        var order = new EpochOrder(7, 3, seed: 1, shuffle: false);
        Assert.Equal([3, 4, 5], order.Batch(1).Rows);
        Assert.Equal((1, 0), (order.Batch(2).Epoch, order.Batch(2).Rows[0]));
    }
}
