using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Experts that ranks own between them against all of them on one rank, in float64: results, and every gradient, to the rounding of sums in
/// another order.
/// </summary>
public class ExpertsOnRanksTests : TorchTest
{
    private const double Tolerance = 1e-10;
    private const int Hidden = 6, Inner = 5, Rank = 2;

    [Theory]
    [InlineData(2, new[] { 7, 7 }, false, false)]
    [InlineData(2, new[] { 9, 2 }, false, true)]
    [InlineData(4, new[] { 5, 0, 11, 1 }, false, false)]                                       // a rank without tokens
    [InlineData(4, new[] { 5, 0, 11, 1 }, false, true)]
    [InlineData(4, new[] { 3, 4, 5, 6 }, true, false)]                                         // all to one expert
    [InlineData(2, new[] { 0, 6 }, true, true)]
    [InlineData(2, new[] { 0, 0 }, false, false)]
    public void Result_and_gradients_equal_one_ranks(int ranks, int[] tokens, bool toOneExpert, bool lora)
    {
        const int experts = 8, choices = 2;
        int total = tokens.Sum();
        using var generator = new Generator(5);
        Tensor Numbers(params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: generator);
        Tensor x = Numbers(total, Hidden), weights = Numbers(total, choices), dy = Numbers(total, Hidden);
        Tensor gateUp = Numbers(experts, 2 * Inner, Hidden), down = Numbers(experts, Hidden, Inner);
        ExpertStackLora upLora = new(Numbers(experts * Rank, Hidden), Numbers(2 * Inner, Rank * experts), experts, 0.7);
        ExpertStackLora downLora = new(Numbers(experts * Rank, Inner), Numbers(Hidden, Rank * experts), experts, 0.3);
        Tensor indices = toOneExpert
            ? full([total, choices], 5, dtype: ScalarType.Int64)
            : total == 0
                ? zeros(0, choices, dtype: ScalarType.Int64)
                : stack(Enumerable.Range(0, total).Select(_ => randperm(experts, generator: generator).narrow(0, 0, choices)));

        Tensor[] expected = Run(new SingleRank(), 0, total);
        var got = new Tensor[ranks][];
        RankThreads.Succeed(InProcessGroup.Create(ranks, TimeSpan.FromMinutes(5)), group =>
            got[group.Rank] = [.. Run(group, tokens[..group.Rank].Sum(), tokens[group.Rank]).Select(t => t.DetachFromDisposeScope())]);

        for (int n = 0; n < expected.Length; n++)
        {
            ExpertSlice slice = n < 3 ? ExpertSlice.None : n is 6 or 8 ? new ExpertSlice(expected[n].shape[0] * Rank) : ExpertSlice.First;
            Tensor whole = zeros_like(expected[n]);
            if (n < 3) whole = cat([.. got.Select(g => g[n])], 0);
            else
                for (int rank = 0; rank < ranks; rank++) slice.CopyTo(got[rank][n].contiguous(), whole, rank, ranks);
            double largest = total == 0 ? 1 : Math.Max(1, expected[n].abs().max().item<double>());
            if (whole.numel() > 0) Assert.True(Largest(whole, expected[n]) <= Tolerance * largest, $"tensor {n}");
        }
        foreach (Tensor tensor in got.SelectMany(g => g)) tensor.Dispose();

        // The result, and gradients of: x, weights, both stacks, both pairs of A and B.
        Tensor[] Run(IProcessGroup group, int first, int count)
        {
            Tensor Leaf(Tensor whole, ExpertSlice slice) => slice.Select(whole, group).detach().clone().requires_grad_(true);
            Tensor own = x.narrow(0, first, count).clone().requires_grad_(true);
            Tensor w = weights.narrow(0, first, count).clone().requires_grad_(true);
            Tensor up = Leaf(gateUp, ExpertSlice.First), low = Leaf(down, ExpertSlice.First);
            ExpertStackLora Part(ExpertStackLora l) =>
                l with { A = Leaf(l.A, ExpertSlice.First), B = Leaf(l.B, LoraAdapter.SliceOfB(l)), Experts = experts / group.Size };
            (ExpertStackLora a, ExpertStackLora b) = (Part(upLora), Part(downLora));
            var layer = new Experts("experts", up, low, group) { DecoderLora = lora ? new ExpertsLora(a, b) : null };
            var context = new PassContext(Pass.Decoder);
            Tensor y = layer.Forward(own, w, indices.narrow(0, first, count), context);
            context.Backward.Run([(y, dy.narrow(0, first, count))]);
            Tensor Gradient(Tensor leaf) => leaf.grad ?? zeros_like(leaf);
            Tensor[] deltas = lora ? [Gradient(a.A), Gradient(a.B), Gradient(b.A), Gradient(b.B)] : [];
            return [y.detach(), Gradient(own), Gradient(w), Gradient(up), Gradient(low), .. deltas];
        }
    }
}
