namespace DiffusionGemma;

public class RowNoiseTests : TorchTest
{
    [Fact]
    public void Canvas_tokens_are_uniform_over_the_vocabulary()
    {
        using var noise = new RowNoise([1, 2], seed: 4);
        int[] drawn = noise.Canvas(40_000, 10);
        // 4000 ± 5 standard deviations
        Assert.All(Enumerable.Range(0, 10), token => Assert.InRange(drawn.Count(d => d == token), 3700, 4300));
    }

    [Fact]
    public void A_row_draws_by_seed_and_prompt()
    {
        static string Drawn(int[] prompt, long seed)
        {
            using var noise = new RowNoise(prompt, seed);
            return string.Join(' ', noise.Canvas(6, 1000)) + string.Join(' ', noise.Uniforms(6));
        }
        Assert.Equal(Drawn([7, 8], 1), Drawn([7, 8], 1));
        Assert.NotEqual(Drawn([7, 8], 1), Drawn([7, 8], 2));
        Assert.NotEqual(Drawn([7, 8], 1), Drawn([8, 7], 1));
    }
}
