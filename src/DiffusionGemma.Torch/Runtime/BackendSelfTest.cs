using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Computes small cases with known results on a libtorch that TorchSharp was not built for: equal symbols do not make equal layouts. It
/// covers operators, memory, draws, gradients through a managed function, a compiled function, bfloat16 and an exception.
/// </summary>
internal static class BackendSelfTest
{
    /// <summary>Runs all cases.</summary>
    /// <exception cref="PlatformNotSupportedException">A case gave another result, or failed; the message names it.</exception>
    public static void Run(Device device)
    {
        foreach ((string name, Action<Device> test) in Cases)
        {
            using DisposeScope scope = NewDisposeScope();
            try
            {
                test(device);
            }
            catch (Exception e)
            {
                throw new PlatformNotSupportedException(
                    $"The self-test of libtorch on {device} failed at {name}: {e.Message.Trim().Split('\n')[0]} This libtorch cannot "
                        + $"be used: "
                        + $"take PyTorch 2.10 or 2.11, or leave {LibTorchFolder.Variable} unset.", e);
            }
        }
    }

    private static readonly (string Name, Action<Device> Test)[] Cases =
    [
        ("a range and sums", device =>
        {
            Tensor x = arange(0, 6, dtype: ScalarType.Float32, device: device).view(2, 3);
            Equal([3, 12], x.sum(1));
            Equal([0, 3, 1, 4, 2, 5], x.t().contiguous());
        }),
        ("products of matrices", device =>
        {
            Tensor a = Numbers(device, [2, 2], 1, 2, 3, 4), b = Numbers(device, [2, 2], 5, 6, 7, 8);
            Equal([19, 22, 43, 50], mm(a, b));
            Equal([19, 22, 43, 50], bmm(a.unsqueeze(0), b.unsqueeze(0)));
            Equal([17, 23, 39, 53], nn.functional.linear(a, b));
        }),
        ("softmax", device => Near([0.25f, 0.75f], nn.functional.softmax(Numbers(device, [2], 0, MathF.Log(3)), 0), 1e-6)),
        ("rows by index", device =>
        {
            Tensor places = tensor(new long[] { 2, 0 }, device: device), x = Numbers(device, [3], 10, 20, 30);
            Equal([30, 10], x.index_select(0, places));
            Equal([30, 10], x.gather(0, places));
            Equal([1, 0, 1], zeros([3], ScalarType.Float32, device).index_add(0, places, ones([2], ScalarType.Float32, device), 1));
        }),
        ("a sort", device =>
        {
            (Tensor values, Tensor order) = Numbers(device, [3], 3, 1, 2).sort(stable: true);
            Equal([1, 2, 3], values);
            Equal([1, 2, 0], order.to(ScalarType.Float32));
        }),
        ("joined and masked tensors", device =>
        {
            Tensor x = cat([Numbers(device, [2], 1, 2), Numbers(device, [1], 3)]);
            Equal([0, 0, 3], where(x > 2, x, zeros_like(x)));
        }),
        ("memory of a tensor", device =>
        {
            Tensor x = Numbers(device, [2, 3], 1, 2, 3, 4, 5, 6);
            Require(x.shape.SequenceEqual([2L, 3]) && x.stride().SequenceEqual([3L, 1]), "sizes and strides differ");
            Equal([3, 6], x[.., 2]);
        }),
        ("draws of a generator", _ =>
        {
            using Generator generator = HostDraws.Generator(42);
            Near([0.88226926f, 0.91500396f], HostDraws.Uniforms(generator, 2), 1e-7);
        }),
        ("bfloat16", device =>
        {
            Tensor a = Numbers(device, [1, 2], 1, 0.5f).to(ScalarType.BFloat16), b = Numbers(device, [2, 1], 3, 4).to(ScalarType.BFloat16);
            Equal([5], mm(a, b).to(ScalarType.Float32));
            Equal([1.0078125f], Numbers(device, [1], 1.006f).to(ScalarType.BFloat16).to(ScalarType.Float32));
        }),
        ("a compiled function", device =>
        {
            Tensor x = Numbers(device, [1, 2], 3, 4);
            Near([3 / MathF.Sqrt(12.5f), 4 / MathF.Sqrt(12.5f)], TorchOperators.RmsNorm(x, null, 0), 1e-6);
        }),
        ("gradients", device =>
        {
            Tensor x = Numbers(device, [2], 2, 3).requires_grad_();
            var pass = new BackwardPass();
            pass.Run(Cube.Run(pass, x)[0].mul(2).sum());
            Equal([24, 54], x.grad!);
        }),
        ("an exception", device =>
        {
            try
            {
                mm(zeros([2, 3], ScalarType.Float32, device), zeros([2, 3], ScalarType.Float32, device));
            }
            catch (ExternalException)
            {
                return;
            }
            throw new InvalidOperationException("a product of shapes that do not fit was computed.");
        }),
    ];

    private static Tensor Numbers(Device device, long[] shape, params float[] values) => tensor(values, shape, device: device);

    private static void Equal(float[] expected, Tensor got) => Near(expected, got, 0);

    private static void Near(float[] expected, Tensor got, double tolerance)
    {
        using Tensor host = got.to(CPU).to(ScalarType.Float32).contiguous();
        float[] values = host.data<float>().ToArray();
        Require(
            values.Length == expected.Length && values.Zip(expected).All(pair => Math.Abs(pair.First - pair.Second) <= tolerance),
            $"[{string.Join(", ", values)}] in place of [{string.Join(", ", expected)}].");
    }

    private static void Require(bool holds, string fault)
    {
        if (!holds) throw new InvalidOperationException(fault);
    }

    /// <summary>x³, with its gradient 3x².</summary>
    private sealed class Cube : AutogradFunction<Cube>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            var x = (Tensor)inputs[0];
            context.save_for_backward([x]);
            return [x * x * x];
        }

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            Tensor x = context.get_saved_variables()[0];
            return [gradients[0]! * 3 * x * x];
        }
    }
}
