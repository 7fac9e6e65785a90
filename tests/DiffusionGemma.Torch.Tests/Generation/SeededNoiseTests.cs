using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class SeededNoiseTests : TorchTest
{
    /// <summary>
    /// Chi-square over 40 000 draws of one distribution. With 5 degrees of freedom it exceeds 20.5 once in a thousand seeds; this seed is fixed.
    /// Rows and positions are cells of their own draws, so the whole tensor is one sample.
    /// </summary>
    [Fact]
    public void Frequencies_follow_the_probabilities()
    {
        double[] probabilities = [0.5, 0.25, 0, 0.125, 0.1, 0.024, 0.001, 0];
        const int Rows = 4, Canvas = 10_000, Draws = Rows * Canvas;
        using var noise = new SeededNoise([.. Enumerable.Range(0, Rows).Select(r => new[] { r + 5 })], seed: 1);
        Tensor sampled = noise.Sample(tensor(probabilities, ScalarType.Float32).expand(Rows, Canvas, -1));
        Assert.Equal([Rows, (long)Canvas], sampled.shape);
        Assert.Equal(ScalarType.Int64, sampled.dtype);
        int[] counts = new int[probabilities.Length];
        foreach (long token in sampled.data<long>()) counts[token]++;
        Assert.Equal((0, 0), (counts[2], counts[7]));
        double chiSquare = probabilities.Zip(counts).Where(p => p.First > 0).Sum(p => Math.Pow(p.Second - Draws * p.First, 2) / (Draws * p.First));
        Assert.True(chiSquare < 20.5, $"{chiSquare}");
    }

    /// <summary>The cumulated sum of float32 probabilities is not 1, and the last tokens may be impossible: neither may be hit.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(255)]
    public void A_certain_token_is_always_drawn(int token)
    {
        using var noise = new SeededNoise([[1]], seed: 3);
        Tensor probabilities = zeros(1, 5000, 256);
        probabilities[TensorIndex.Colon, TensorIndex.Colon, token] = 0.999f;
        Assert.Equal(0, Largest(noise.Sample(probabilities), full([1, 5000], token, dtype: ScalarType.Int64)));
    }

    [Fact]
    public void Canvas_tokens_are_uniform_over_the_vocabulary()
    {
        using var noise = new SeededNoise([[1, 2], [3]], seed: 4);
        long[] drawn = noise.Canvas(2, 20_000, 10).data<long>().ToArray();
        Assert.Equal(40_000, drawn.Length);
        Assert.All(Enumerable.Range(0, 10), token => Assert.InRange(drawn.Count(d => d == token), 3700, 4300));    // 4000 ± 5 standard deviations
    }

    [Fact]
    public void A_row_draws_by_seed_and_prompt_and_only_while_it_is_unfinished()
    {
        long[] Row(int row, IReadOnlyList<int[]> prompts, long seed, bool finishOther = false)
        {
            using var noise = new SeededNoise(prompts, seed);
            noise.Canvas(prompts.Count, 6, 1000);
            if (finishOther) noise.SetFinished([.. prompts.Select((_, r) => r != row)]);
            return noise.Canvas(prompts.Count, 6, 1000)[row].data<long>().ToArray();
        }
        long[] alone = Row(0, [[7, 8]], 1);
        Assert.Equal(alone, Row(2, [[1], [2, 3], [7, 8]], 1));
        Assert.Equal(alone, Row(1, [[1], [7, 8]], 1, finishOther: true));
        Assert.NotEqual(alone, Row(0, [[7, 8]], 2));
        Assert.NotEqual(alone, Row(0, [[8, 7]], 1));
        using var done = new SeededNoise([[1], [2]], 1);
        done.SetFinished([true, false]);
        Assert.All(done.Canvas(2, 6, 1000)[0].data<long>().ToArray(), token => Assert.Equal(0, token));
    }
}
