using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Functions with a backward of their own against autograd over the plain expressions, in float64: 1e-10 of the largest value.
/// </summary>
public class LayerFunctionsTests : TorchTest
{
    private readonly Generator _generator = new(17);
    private readonly PassContext _context = new(Pass.Decoder);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rms_norm(bool weighted)
    {
        Tensor x = Leaf(2, 3, 5, 8), transposed = x.transpose(1, 2);                            // as the heads of queries and keys come
        Tensor[] leaves = weighted ? [x, Leaf(8)] : [x];
        Tensor? weight = weighted ? leaves[1] : null;
        Same(leaves, () => TorchOperators.RmsNorm(transposed, weight, 1e-3), () => RmsNorm.Normalize(transposed, weight, 1e-3, _context));
    }

    [Fact]
    public void Rms_norm_of_a_frozen_input_or_weight()
    {
        Tensor x = Leaf(3, 8), weight = Leaf(8), frozen = Numbers(3, 8), frozenWeight = Numbers(8);
        Same([weight], () => TorchOperators.RmsNorm(frozen, weight, 1e-3), () => RmsNorm.Normalize(frozen, weight, 1e-3, _context));
        Same([x], () => TorchOperators.RmsNorm(x, frozenWeight, 1e-3), () => RmsNorm.Normalize(x, frozenWeight, 1e-3, _context));
        Assert.False(RmsNorm.Normalize(frozen, frozenWeight, 1e-3, _context).requires_grad);
    }

    /// <summary>In bfloat16 the gradient is computed in float32 and rounded once: half a unit in the last of 8 bits.</summary>
    [Fact]
    public void Rms_norm_in_bfloat16_rounds_once()
    {
        Tensor narrow = Numbers(4, 64).to(ScalarType.BFloat16).requires_grad_(true);
        Tensor wide = narrow.detach().to(ScalarType.Float64).requires_grad_(true);
        Tensor weight = Numbers(64).to(ScalarType.BFloat16), dy = Numbers(4, 64).to(ScalarType.BFloat16);
        _context.Backward.Run([(RmsNorm.Normalize(narrow, weight, 1e-6, _context), dy)]);
        _context.Backward.Run([(TorchOperators.RmsNorm(wide, weight.to(ScalarType.Float64), 1e-6), dy.to(ScalarType.Float64))]);
        Assert.Equal(
            0, Largest(narrow.grad!, wide.grad!.to(ScalarType.Float32).to(ScalarType.BFloat16)),
            0.01 * wide.grad!.abs().max().item<double>());
    }

    [Fact]
    public void Gated_activation()
    {
        Tensor gate = Leaf(4, 6), up = Leaf(4, 6);
        Same([gate, up], () => GatedMlp.GeluTanh(gate) * up, () => GatedActivation.Activate(gate, up, _context));
    }

    [Fact]
    public void Projection()
    {
        Tensor x = Leaf(2, 3, 5), weight = Leaf(7, 5), frozen = Numbers(2, 3, 5), frozenWeight = Numbers(7, 5);
        Same([x, weight], () => nn.functional.linear(x, weight), () => LinearFunction.Project(x, weight, _context));
        Same([weight], () => nn.functional.linear(frozen, weight), () => LinearFunction.Project(frozen, weight, _context));
        Same([x], () => nn.functional.linear(x, frozenWeight), () => LinearFunction.Project(x, frozenWeight, _context));
        Assert.False(LinearFunction.Project(frozen, frozenWeight, _context).requires_grad);
    }

    /// <summary>Beside the plain expression with the same draws.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Low_rank_projection_with_dropout(bool trainedInput)
    {
        Tensor x = trainedInput ? Leaf(2, 40, 5) : Numbers(2, 40, 5), weight = Leaf(7, 5);
        var lora = new LoraPair(Leaf(2, 5), Leaf(7, 2), 1.7);
        using DropoutStream dropout = new(0.3, seed: 4), same = new(0.3, seed: 4);
        Tensor kept = same.DrawKept(x.shape, CPU);
        Assert.InRange(kept.sum().item<long>(), 240, 320);                                      // of 400, 280 are expected
        Tensor[] leaves = trainedInput ? [x, weight, lora.A, lora.B] : [weight, lora.A, lora.B];
        Same(leaves, () => nn.functional.linear(x, weight) + Delta(lora, x * kept.to(x.dtype) / 0.7),
            () => LinearFunction.Project(x, weight, _context with { Dropout = dropout }, lora));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, false)]
    public void Low_rank_delta_alone(bool trainedInput, bool drops)
    {
        Tensor x = trainedInput ? Leaf(40, 5) : Numbers(40, 5);
        var lora = new LoraPair(Leaf(2, 5), Leaf(7, 2), 1.7);
        using DropoutStream dropout = new(0.3, seed: 4), same = new(0.3, seed: 4);
        Tensor dropped = drops ? x * same.DrawKept(x.shape, CPU).to(x.dtype) / 0.7 : x;
        Same(trainedInput ? [x, lora.A, lora.B] : [lora.A, lora.B], () => Delta(lora, dropped),
            () => LowRankFunction.Project(x, lora, _context with { Dropout = drops ? dropout : null }));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Low_rank_projection(bool trainedInput)
    {
        Tensor x = trainedInput ? Leaf(2, 3, 5) : Numbers(2, 3, 5), weight = Numbers(7, 5);
        var lora = new LoraPair(Leaf(2, 5), Leaf(7, 2), 1.7);
        Tensor[] leaves = trainedInput ? [x, lora.A, lora.B] : [lora.A, lora.B];
        Same(leaves, () => nn.functional.linear(x, weight) + Delta(lora, x), () => LinearFunction.Project(x, weight, _context, lora));
        using IDisposable quiet = no_grad();
        Assert.True(Largest(LinearFunction.Project(x, weight, _context, lora), nn.functional.linear(x, weight) + Delta(lora, x)) < 1e-12);
    }

    /// <summary>
    /// Encoder rows longer than a block of queries, with and without padding on either side: block by block is the whole, for keys and
    /// gradients too. Padding itself may see nothing in its block; what it gets nobody reads.
    /// </summary>
    [Theory]
    [InlineData(AttentionKind.Full, 0, 0)]
    [InlineData(AttentionKind.Sliding, 0, 0)]
    [InlineData(AttentionKind.Sliding, 140, 0)]
    [InlineData(AttentionKind.Full, 140, 0)]
    [InlineData(AttentionKind.Sliding, 3, 200)]
    public void Causal_attention_in_blocks(AttentionKind kind, int left, int right)
    {
        const int Real = 290, Window = 50, Width = 4;
        int length = left + Real + right;
        var shape = new LayerShape(kind, 4, 1, new RopeParameters(10_000, 1));
        Tensor x = Leaf(1, length, Width), one = eye(Width, dtype: ScalarType.Float64), norm = ones(4, dtype: ScalarType.Float64);
        Linear Identity(string name) => new(name, one);
        Attention Layer(int? window) =>
            new(
                shape, 1, window, Identity("q"), Identity("k"), kind == AttentionKind.Sliding ? Identity("v") : null, Identity("o"), norm,
                norm, 1e-6);
        Tensor real = tensor(Enumerable.Range(0, length).Select(i => i >= left && i < left + Real).ToArray()).unsqueeze(0);
        Tensor positions = (real.cumsum(-1) - 1).clamp_min(0), mask = AttentionMasks.Encoder(kind, Window, positions, positions, real);
        using var rotary = new RotaryEmbedding(shape, CPU, ScalarType.Float64);
        (Tensor, Tensor) angles = rotary.Angles(positions, ScalarType.Float64);

        Tensor Blocks(Attention attention) =>
            attention.Forward(x, null, angles, mask, new PassContext(Pass.Encoder)).Output.masked_fill(real.logical_not().unsqueeze(-1), 0);
        Tensor Whole()
        {
            // The decoder's way: one product over all keys.
            Tensor whole = Layer(null).Forward(x, null, angles, mask, new PassContext(Pass.Decoder)).Output;
            return whole.masked_fill(real.logical_not().unsqueeze(-1), 0);
        }
        Same([x], Whole, () => Blocks(Layer(kind == AttentionKind.Sliding ? Window : null)));
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private void Same(Tensor[] leaves, Func<Tensor> plain, Func<Tensor> function)
    {
        Tensor expected = plain(), dy = randn(expected.shape, dtype: ScalarType.Float64, generator: _generator);
        _context.Backward.Run([(expected, dy)]);
        Tensor[] gradients = [.. leaves.Select(l => l.grad!.clone())];
        foreach (Tensor leaf in leaves) leaf.grad = null;
        Tensor got = function();
        _context.Backward.Run([(got, dy)]);
        Assert.True(Largest(got, expected) < 1e-12);
        foreach ((Tensor leaf, Tensor gradient) in leaves.Zip(gradients))
        {
            Assert.True(
                Largest(leaf.grad!, gradient) < 1e-10 * Math.Max(1, gradient.abs().max().item<double>()),
                $"{Largest(leaf.grad!, gradient):e1}");
            leaf.grad = null;
        }
    }

    private static Tensor Delta(LoraPair lora, Tensor x) => nn.functional.linear(nn.functional.linear(x, lora.A), lora.B) * lora.Scale;

    private Tensor Numbers(params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: _generator);

    private Tensor Leaf(params long[] shape) => Numbers(shape).requires_grad_(true);
}
