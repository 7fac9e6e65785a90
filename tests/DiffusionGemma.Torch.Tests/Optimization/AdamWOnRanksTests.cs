using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Ranks that update shares of what they have in common come to what one rank comes to from the sum of their gradients.</summary>
public class AdamWOnRanksTests : TorchTest
{
    private static readonly long[][] Shapes = [[3], [5, 7], [2, 3, 4], [1]];

    /// <summary>
    /// Gradients are small integers, which sum alike in any order; so the step is the same to the last bit, but for the norm's (1e-12).
    /// </summary>
    [Theory]
    [InlineData(2, ScalarType.Float64)]
    [InlineData(3, ScalarType.Float32)]
    [InlineData(4, ScalarType.BFloat16)]
    public void Replicated_parameters_are_updated_as_by_one_rank(int ranks, ScalarType dtype)
    {
        Tensor Start(int n) => linspace(-1, 1, Shapes[n].Aggregate((a, b) => a * b), dtype: ScalarType.Float64).view(Shapes[n]).to(dtype);
        Tensor Gradient(int step, int n, int rank) => (ones(Shapes[n]) * ((step * 7 + n * 3 + rank * 5) % 11 - 4)).to(dtype);
        const int steps = 5;

        Tensor[] alone = [.. Shapes.Select((_, n) => Start(n).requires_grad_(true))];
        double[] norms = Train(
            RankGroups.Single(CPU), alone,
            step => [.. Shapes.Select((_, n) => Enumerable.Range(0, ranks).Select(r => Gradient(step, n, r)).Aggregate((a, b) => a + b))]);
        RankThreads.Succeed(InProcessGroup.Create(ranks, TimeSpan.FromMinutes(10)), world =>
        {
            Tensor[] own = [.. Shapes.Select((_, n) => Start(n).requires_grad_(true))];
            using var groups = RankGroups.Split(CPU, world, expertParallel: 1);
            double[] got = Train(groups, own, step => [.. Shapes.Select((_, n) => Gradient(step, n, world.Rank))]);
            for (int step = 0; step < steps; step++) Assert.Equal(norms[step], got[step], 1e-9);
            foreach ((Tensor a, Tensor b) in alone.Zip(own))
                Assert.True(Largest(b.detach(), a.detach()) < (dtype == ScalarType.Float64 ? 1e-12 : 1e-6));
        });

        static double[] Train(RankGroups groups, Tensor[] parameters, Func<int, Tensor[]> gradients)
        {
            using var optimizer = new AdamW(
                [.. parameters.Select((p, n) => new TrainedParameter($"{n}", p, ExpertSlice.None))], groups, 0.9, 0.99, 1e-8, 0.1);
            var norms = new double[steps];
            for (int step = 0; step < steps; step++)
            {
                foreach ((Tensor parameter, Tensor gradient) in parameters.Zip(gradients(step)))
                    optimizer.Gradients.BufferOf(parameter).add_(gradient);
                optimizer.ReduceGradients();
                norms[step] = optimizer.Clip(groups.World, 3.0);
                optimizer.Step(0.01 * (step + 1));
            }
            return norms;
        }
    }

    /// <summary>
    /// Two sets of experts on four ranks: an expert's gradients are summed over its two owners, and counted once in the norm.
    /// </summary>
    [Fact]
    public void Experts_of_several_sets_are_counted_once()
    {
        var norms = new double[4];
        var ends = new double[4];
        RankThreads.Succeed(InProcessGroup.Create(4, TimeSpan.FromMinutes(10)), world =>
        {
            using var groups = RankGroups.Split(CPU, world, expertParallel: 2);
            Tensor expert = full(4, groups.Experts.Rank, dtype: ScalarType.Float64).requires_grad_(true);
            Tensor common = zeros(2, dtype: ScalarType.Float64).requires_grad_(true);
            using var optimizer = new AdamW(
                [new("expert", expert, ExpertSlice.First), new("common", common, ExpertSlice.None)], groups, 0, 0, 1e-12, 0);
            using (no_grad())
            {
                optimizer.Gradients.BufferOf(expert).fill_(world.Rank + 1);
                optimizer.Gradients.BufferOf(common).fill_(1);
            }
            optimizer.ReduceGradients();
            norms[world.Rank] = optimizer.Clip(world, double.PositiveInfinity);
            optimizer.Step(0.5);
            ends[world.Rank] = expert[0].item<double>();
            Assert.Equal(-0.5, common[1].item<double>(), 1e-9);
        });
        // Low experts 1 + 3, high ones 2 + 4, four numbers each; what all have in common 4, two numbers.
        Assert.All(norms, norm => Assert.Equal(Math.Sqrt(4 * 16 + 4 * 36 + 2 * 16), norm, 1e-9));
        Assert.Equal([-0.5, 0.5, -0.5, 0.5], ends.Select(e => Math.Round(e, 9)));
    }
}
