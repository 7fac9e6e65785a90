using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class EntropyBoundSamplerTests
{
    /// <summary>
    /// Entropies in eighths, so that sums are exact and ties occur; among equals the sort's order is free, so only their number counts.
    /// </summary>
    [Fact]
    public void Accepts_the_surest_positions_up_to_the_bound_and_one_more() =>
        Property.Holds(Gen.Select(Gen.Int[0, 24].Array[1, 12], Gen.Int[0, 40]), 500, drawn =>
        {
            (int[] eighths, int bound) = drawn;
            bool[] got = new EntropyBoundSampler(bound / 8.0).Candidates(eighths.Select(e => e / 8.0).ToArray());

            int count = 0, before = 0;
            foreach (int entropy in eighths.Order())
            {
                // sum of the surer ones, this one not included
                if (before > bound) break;
                before += entropy;
                count++;
            }
            Assert.Equal(eighths.Order().Take(count), eighths.Where((_, i) => got[i]).Order());
        });

    /// <summary>Several rows on their device, each with its bound, choose as the host does; entropies in eighths as above.</summary>
    [Fact]
    public void Rows_on_a_device_choose_as_the_host_does() =>
        Property.Holds(Gen.Select(Gen.Int[0, 24].Array[20].Array[1, 4], Gen.Int[-1, 40].Array[4]), 200, drawn =>
        {
            using var scope = NewDisposeScope();
            (int[][] eighths, int[] bounds) = drawn;
            Tensor entropies = tensor(eighths.SelectMany(row => row.Select(e => e / 8.0)).ToArray()).view(eighths.Length, -1);
            Tensor ofRows = tensor(bounds.Take(eighths.Length).Select(bound => bound / 8.0).ToArray()).view(-1, 1);
            bool[] accepted = EntropyBoundSampler.Choose(entropies.to(TestDevice.Current), ofRows.to(TestDevice.Current)).cpu()
                .data<bool>().ToArray();
            foreach ((int[] row, bool[] got, int bound) in eighths.Zip(accepted.Chunk(20), bounds))
            {
                bool[] want = new EntropyBoundSampler(bound / 8.0).Candidates(row.Select(e => e / 8.0).ToArray());
                Assert.Equal(row.Where((_, i) => want[i]).Order(), row.Where((_, i) => got[i]).Order());
                Assert.Equal(got, new EntropyBoundSampler(bound / 8.0).Candidates(row.Select(e => e / 8.0).ToArray(), got));
            }
        });

    [Fact]
    public void What_is_not_accepted_is_redrawn()
    {
        var sampler = new EntropyBoundSampler(0.1);
        Assert.Equal([true, true, true, false], sampler.Candidates([0.05, 0.06, 0.0, 3.0]));
        int[] tokens = [1, 2, 3, 4];
        bool[] settled = sampler.Settle(0, tokens, [91, 92, 93, 94], new Proposals([11, 12, 13, 14], [1, 1, 1, 1]));
        Assert.Equal([11, 12, 13, 94], tokens);
        Assert.Equal([true, true, true, false], settled);
        Assert.Equal([5, 6, 7, 8], sampler.Draft([5, 6, 7, 8], tokens));
        Assert.Equal(
            [false, false, true, false],
            new EntropyBoundSampler(0.0).Candidates([0.05, 0.06, 0.0, 3.0]).Select((a, i) => a && i != 0).ToArray());
    }
}
