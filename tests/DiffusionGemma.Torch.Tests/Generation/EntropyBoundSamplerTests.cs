using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class EntropyBoundSamplerTests : TorchTest
{
    /// <summary>Entropies in eighths, so that sums are exact and ties occur; among equals the sort's order is free, so only their number counts.</summary>
    [Fact]
    public void Accepts_the_surest_positions_up_to_the_bound_and_one_more() =>
        Property.Holds(Gen.Select(Gen.Int[0, 24].Array[1, 12], Gen.Int[0, 40]), 500, drawn =>
        {
            (int[] eighths, int bound) = drawn;
            bool[] got = EntropyBoundSampler.Accept(tensor(eighths.Select(e => e / 8.0).ToArray()).unsqueeze(0), bound / 8.0).data<bool>().ToArray();

            int count = 0, before = 0;
            foreach (int entropy in eighths.Order())
            {
                if (before > bound) break;                                                      // sum of the surer ones, this one not included
                before += entropy;
                count++;
            }
            Assert.Equal(eighths.Order().Take(count), eighths.Where((_, i) => got[i]).Order());
        });

    [Fact]
    public void Rows_do_not_touch_each_other()
    {
        Tensor entropies = tensor(new[,] { { 0.05, 3.0, 0.04 }, { 2.0, 1.0, 4.0 } });
        Assert.Equal([true, true, true, false, true, false], EntropyBoundSampler.Accept(entropies, 0.1).data<bool>().ToArray());
        Assert.Equal([false, false, true, false, true, false], EntropyBoundSampler.Accept(entropies, 0.0).data<bool>().ToArray());
    }

    [Fact]
    public void Entropy_is_in_nats()
    {
        Tensor logits = tensor(new[,] { { 0.0, 0.0, 0.0, 0.0 }, { 1000.0, 0.0, 0.0, 0.0 }, { Math.Log(3), 0.0, -1000.0, -1000.0 } });
        double[] got = EntropyBoundSampler.Entropy(logits).data<double>().ToArray();
        Assert.Equal(Math.Log(4), got[0], 1e-12);
        Assert.Equal(0, got[1], 1e-12);
        Assert.Equal(-(0.75 * Math.Log(0.75) + 0.25 * Math.Log(0.25)), got[2], 1e-12);
    }
}
