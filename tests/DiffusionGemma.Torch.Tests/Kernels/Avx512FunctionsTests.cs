using System.Runtime.Intrinsics.X86;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Functions of layers in float32, which have kernels of their own, against the same functions in float64, which have not: values and gradients within
/// 2e-6 of the largest, some ten roundings.
/// </summary>
public class Avx512FunctionsTests : TorchTest
{
    private readonly Generator _generator = new(23);
    private readonly PassContext _context = new(Pass.Decoder);

    [Fact]
    public void Rms_norm() => Property.Holds(Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Bool), 40, drawn =>
    {
        using var scope = NewDisposeScope();
        (int rows, int sixteens, bool weighted) = drawn;
        long[][] shapes = [[rows, 16 * sixteens], [16 * sixteens]];
        Near(weighted ? shapes : shapes[..1], leaves => RmsNorm.Normalize(leaves[0], weighted ? leaves[1] : null, 1e-3, _context));
    });

    [Fact]
    public void Gated_activation() => Property.Holds(Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40]), 40, drawn =>
    {
        using var scope = NewDisposeScope();
        long[] shape = [2, drawn.Item1, 16 * drawn.Item2];
        Near([shape, shape], leaves => GatedActivation.Activate(leaves[0] * 4, leaves[1], _context));
    });

    [Fact]
    public void Rotation() => Property.Holds(Gen.Select(Gen.Int[1, 3], Gen.Int[1, 5], Gen.Int[1, 20], Gen.Int[1, 4]), 40, drawn =>
    {
        using var scope = NewDisposeScope();
        (int batch, int heads, int length, int width) = drawn;
        width *= 32;
        Tensor angles = randn(batch, 1, length, width, dtype: ScalarType.Float64, generator: _generator);
        Near([[batch, length, heads, width]], leaves =>
        {
            Tensor x = leaves[0].transpose(1, 2);                                              // as the heads of queries and keys come
            return RotationFunction.Rotate(x, angles.cos().to(x.dtype), angles.sin().to(x.dtype), _context);
        });
    });

    /// <summary>Gates of every size: gelu's ends too.</summary>
    [Fact]
    public void Gelu_everywhere()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        Tensor gate = linspace(-40, 40, 16 * 4096).view(16, 4096), ones = ones_like(gate), wide = gate.to(ScalarType.Float64);
        Tensor got = Avx512GatedActivation.TryForward(gate, ones, null)!.to(ScalarType.Float64), expected = GatedMlp.GeluTanh(wide);
        Assert.True(((got - expected).abs() - (wide.abs() * 1e-6)).max().item<double>() <= 1e-7);
        Tensor dGate = empty_like(gate), dUp = empty_like(gate);
        Assert.True(Avx512GatedActivation.TryBackward(ones, gate, ones, null, dGate, dUp, null));
        Assert.True(Largest(dGate, TorchOperators.GeluTanhBackward(ones_like(wide), wide)) < 5e-6);
        Assert.True(((dUp.to(ScalarType.Float64) - expected).abs() - (wide.abs() * 1e-6)).max().item<double>() <= 1e-7);
    }

    /// <summary>Weights of rows, and gates and ups side by side, as experts have them; a row's weight gets the sum over its row.</summary>
    [Fact]
    public void Weighted_rows_that_lie_apart()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        Tensor both = randn(9, 96, generator: _generator), w = rand(9, 1, generator: _generator), dy = randn(9, 48, generator: _generator);
        Tensor[] halves = both.chunk(2, -1);
        Tensor wide = both.to(ScalarType.Float64).requires_grad_(true), wideW = w.to(ScalarType.Float64).requires_grad_(true);
        Tensor expected = GatedMlp.GeluTanh(wide.narrow(1, 0, 48)) * wide.narrow(1, 48, 48) * wideW;
        _context.Backward.Run([(expected, dy.to(ScalarType.Float64))]);
        Assert.True(Largest(Avx512GatedActivation.TryForward(halves[0], halves[1], w)!, expected.detach()) < 2e-6);
        Tensor gradient = empty_like(both), dw = empty_like(w);
        Tensor[] gradients = gradient.chunk(2, -1);
        Assert.True(Avx512GatedActivation.TryBackward(dy, halves[0], halves[1], w, gradients[0], gradients[1], dw));
        Assert.True(Largest(gradient, wide.grad!) < 5e-6);
        Assert.True(Largest(dw, wideW.grad!) < 2e-5);                                           // of 48 products
    }

    [Fact]
    public void What_does_not_fit_is_left_alone()
    {
        Tensor odd = zeros(4, 24), fits = zeros(4, 32), wide = zeros(4, 32, ScalarType.Float64), heads = zeros(1, 2, 4, 24), angles = zeros(1, 1, 4, 24);
        Assert.Null(Avx512RmsNorm.TryForward(odd, null, 1e-6));
        Assert.Null(Avx512RmsNorm.TryForward(wide, null, 1e-6));
        Assert.Null(Avx512RmsNorm.TryForward(zeros(32, 4).t(), null, 1e-6));
        Assert.Null(Avx512GatedActivation.TryForward(odd, odd, null));
        Assert.Null(Avx512GatedActivation.TryForward(wide, wide, null));
        Assert.Null(Avx512GatedActivation.TryForward(fits, fits, ones(4, 1, ScalarType.Float64)));
        Assert.Null(Avx512Rotation.TryRun(heads, angles, angles, false));
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private void Near(long[][] shapes, Func<Tensor[], Tensor> function)
    {
        Tensor[] values = [.. shapes.Select(shape => randn(shape, generator: _generator))];
        Tensor? dy = null;
        Tensor[] Run(ScalarType dtype)
        {
            Tensor[] leaves = [.. values.Select(v => v.to(dtype).detach().clone().requires_grad_(true))];
            Tensor result = function(leaves);
            dy ??= randn(result.shape, generator: _generator);
            _context.Backward.Run([(result, dy.to(dtype))]);
            return [result.detach(), .. leaves.Select(l => l.grad!)];
        }
        foreach ((Tensor got, Tensor expected) in Run(ScalarType.Float32).Zip(Run(ScalarType.Float64)))
            Assert.True(Largest(got, expected) <= 2e-6 * Math.Max(1, expected.abs().max().item<double>()), $"{Largest(got, expected):e1} of {expected.abs().max().item<double>()}");
    }
}
