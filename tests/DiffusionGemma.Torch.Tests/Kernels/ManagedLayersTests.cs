using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Kernels of norms, gates and rotations at every width that the processor has, against libtorch's forms in float64: values and gradients
/// within 2e-6 of the largest, some ten roundings.
/// </summary>
public class ManagedLayersTests : TorchTest
{
    private readonly Generator _generator = new(23);

    public static TheoryData<int> Widths => Width.All;

    [Theory]
    [MemberData(nameof(Widths))]
    public void Rms_norm(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Gen.Int[1, 40], Gen.Int[1, 80], Gen.Bool, Gen.Bool), 40, drawn =>
        {
            using var scope = NewDisposeScope();
            (int rows, int registers, bool weighted, bool trained) = drawn;
            Tensor x = Numbers(rows, width * registers), g = Numbers(rows, width * registers);
            Tensor? weight = weighted ? Numbers(width * registers) : null, buffer = trained ? Numbers(width * registers)
                : null, wideBuffer = Wide(buffer);
            Near(kernels.TryRmsNorm(x, weight, 1e-3), Kernels.RmsNorm(Wide(x)!, Wide(weight), 1e-3));
            Near(
                kernels.TryRmsNormBackward(x, g, weight, 1e-3, buffer),
                Kernels.RmsNormBackward(Wide(x)!, Wide(g)!, Wide(weight), 1e-3, wideBuffer));
            if (trained) Near(buffer, wideBuffer!);
        });
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Rotation(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Property.Holds(Gen.Select(Gen.Int[1, 3], Gen.Int[1, 5], Gen.Int[1, 20], Gen.Int[1, 4]), 40, drawn =>
        {
            using var scope = NewDisposeScope();
            (int batch, int heads, int length, int registers) = drawn;
            Tensor x = Numbers(batch, length, heads, 2 * width * registers).transpose(1, 2);       // as the heads of queries and keys come
            Tensor angles = Numbers(batch, 1, length, 2 * width * registers), cos = angles.cos(), sin = angles.sin();
            Near(kernels.TryRotate(x, cos, sin, transposed: false), Kernels.Rotate(Wide(x)!, Wide(cos)!, Wide(sin)!));
            Near(kernels.TryRotate(x, cos, sin, transposed: true), Kernels.RotateBackward(Wide(x)!, Wide(cos)!, Wide(sin)!));
        });
    }

    /// <summary>Gates of every size: gelu's ends too.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Gelu_everywhere(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Tensor gate = linspace(-40, 40, 16 * 4096).view(16, 4096), ones = ones_like(gate), wide = gate.to(ScalarType.Float64);
        Tensor got = kernels.TryGatedGelu(gate, ones, null)!.to(ScalarType.Float64), expected = TorchOperators.GeluTanh(wide);
        Assert.True(((got - expected).abs() - (wide.abs() * 1e-6)).max().item<double>() <= 1e-7);
        Tensor dGate = empty_like(gate), dUp = empty_like(gate);
        Assert.True(kernels.TryGatedGeluBackward(ones, gate, ones, null, dGate, dUp, null));
        Assert.True(Largest(dGate, TorchOperators.GeluTanhBackward(ones_like(wide), wide)) < 5e-6);
        Assert.True(((dUp.to(ScalarType.Float64) - expected).abs() - (wide.abs() * 1e-6)).max().item<double>() <= 1e-7);
    }

    /// <summary>Weights of rows, and gates and ups side by side, as experts have them; a row's weight gets the sum over its row.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Weighted_rows_that_lie_apart(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        Tensor both = Numbers(9, 96), w = rand(9, 1, generator: _generator), dy = Numbers(9, 48);
        Tensor[] halves = both.chunk(2, -1);
        Tensor wide = both.to(ScalarType.Float64).requires_grad_(true), wideW = w.to(ScalarType.Float64).requires_grad_(true);
        Tensor expected = TorchOperators.GeluTanh(wide.narrow(1, 0, 48)) * wide.narrow(1, 48, 48) * wideW;
        (expected * dy.to(ScalarType.Float64)).sum().backward();
        Near(kernels.TryGatedGelu(halves[0], halves[1], w), expected.detach());
        Tensor gradient = empty_like(both), dw = empty_like(w);
        Tensor[] gradients = gradient.chunk(2, -1);
        Assert.True(kernels.TryGatedGeluBackward(dy, halves[0], halves[1], w, gradients[0], gradients[1], dw));
        Assert.True(Largest(gradient, wide.grad!) < 5e-6);
        Assert.True(Largest(dw, wideW.grad!) < 2e-5);                                           // of 48 products
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void What_does_not_fit_is_left_alone(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        long odd = width + 2;
        Tensor rows = zeros(4, odd), heads = zeros(1, 2, 4, odd), angles = zeros(1, 1, 4, odd), across = zeros(32, 4).t();
        Assert.Null(kernels.TryRmsNorm(rows, null, 1e-6));
        Assert.Null(kernels.TryRmsNorm(across, null, 1e-6));
        Assert.Null(kernels.TryRmsNormBackward(rows, rows, null, 1e-6, null));
        Assert.Null(kernels.TryGatedGelu(rows, rows, null));
        Assert.Null(kernels.TryGatedGelu(across, across, null));
        Assert.False(kernels.TryGatedGeluBackward(rows, rows, rows, null, rows, rows, null));
        Assert.Null(kernels.TryRotate(heads, angles, angles, transposed: false));
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private static Tensor? Wide(Tensor? tensor) => tensor?.to(ScalarType.Float64);

    private static void Near(Tensor? got, Tensor expected)
    {
        Assert.NotNull(got);
        double bound = 2e-6 * Math.Max(1, expected.abs().max().item<double>());
        Assert.True(Largest(got, expected) <= bound, $"{Largest(got, expected):e1} beyond {bound:e1}");
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
