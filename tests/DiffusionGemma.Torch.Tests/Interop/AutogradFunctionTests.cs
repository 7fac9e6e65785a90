using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Exact comparisons: the custom functions do the same float64 operations as the plain expressions, in the same order.</summary>
[Collection(Alone.Name)]
public class AutogradFunctionTests : TorchTest
{
    private readonly BackwardPass _backward = new();

    [Fact]
    public void Gradients_of_several_inputs_and_outputs_equal_the_plain_ones()
    {
        (Tensor a, Tensor b) = Leaves();
        Tensor[] outputs = ProductAndSum.Run(_backward, a, b, 3.0);
        _backward.Run(outputs[0].sum() + (outputs[1] * outputs[1]).sum());
        (Tensor plainA, Tensor plainB) = Leaves();
        ((plainA * plainB * 3.0).sum() + (plainA + plainB).pow(2).sum()).backward();
        Assert.Equal(0, Largest(a.grad!, plainA.grad!));
        Assert.Equal(0, Largest(b.grad!, plainB.grad!));
    }

    [Fact]
    public void An_output_that_is_not_used_comes_as_null()
    {
        (Tensor a, Tensor b) = Leaves();
        _backward.Run(ProductAndSum.Run(_backward, a, b, 1.0)[1].sum());
        Assert.Equal(0, Largest(a.grad!, ones_like(a)));
        Assert.Equal(0, Largest(b.grad!, ones_like(b)));
    }

    [Fact]
    public void An_input_without_gradient_may_get_one()
    {
        (Tensor a, Tensor b) = Leaves();
        b.requires_grad_(false);
        _backward.Run(ProductAndSum.Run(_backward, a, b, 1.0)[0].sum());
        Assert.Equal(0, Largest(a.grad!, b));
        Assert.Null(b.grad);
    }

    /// <summary>A checkpointed piece: its backward runs forward again with gradient, and a backward within the backward.</summary>
    [Fact]
    public void A_backward_within_a_backward_equals_the_plain_one()
    {
        (Tensor a, Tensor b) = Leaves();
        _backward.Run(Recomputed.Run(_backward, Recomputed.Run(_backward, a, b)[0], b)[0].sum());
        (Tensor plainA, Tensor plainB) = Leaves();
        Tensor inner = plainA * plainB * 2.0;
        (inner * plainB * 2.0).sum().backward();
        Assert.True(Largest(a.grad!, plainA.grad!) <= 1e-15);
        Assert.True(Largest(b.grad!, plainB.grad!) <= 1e-15);                                   // two summands, in either order
    }

    [Fact]
    public void An_exception_in_a_backward_comes_out_of_Backward_and_the_process_goes_on()
    {
        for (int n = 0; n < 3; n++)
        {
            (Tensor a, Tensor b) = Leaves();
            Tensor loss = Failing.Run(_backward, ProductAndSum.Run(_backward, a, b, 1.0)[0])[0].sum();
            var error = Assert.Throws<NotSupportedException>(() => _backward.Run(loss));
            Assert.Contains("no backward today", error.Message, StringComparison.Ordinal);
            Assert.Contains(nameof(Failing), error.StackTrace, StringComparison.Ordinal);
            _backward.Run(ProductAndSum.Run(_backward, a, b, 1.0)[0].sum());                     // the fault was taken, not kept
        }
    }

    [Fact]
    public void A_wrong_number_of_gradients_is_an_exception_too()
    {
        (Tensor a, _) = Leaves();
        Tensor loss = Short.Run(_backward, a, a)[0].sum();
        var error = Assert.Throws<InvalidOperationException>(() => _backward.Run(loss));
        Assert.Contains("Short returned 1 gradients for 2 inputs", error.Message, StringComparison.Ordinal);
    }

    /// <summary>libtorch fails in an operator of the backward, or at a gradient of a wrong shape, in frames of its own.</summary>
    [Fact]
    public void A_native_error_in_a_backward_is_an_exception_too()
    {
        for (int n = 0; n < 3; n++)
        {
            (Tensor a, Tensor b) = Leaves();
            Tensor product = Mismatched.Run(_backward, a)[0].sum(), gradient = Misshapen.Run(_backward, a)[0].sum();
            Assert.Contains("shapes cannot be multiplied", Assert.Throws<ExternalException>(() => _backward.Run(product)).Message,
                StringComparison.Ordinal);
            Assert.Contains("invalid gradient", Assert.Throws<ExternalException>(() => _backward.Run(gradient)).Message,
                StringComparison.Ordinal);
            _backward.Run(ProductAndSum.Run(_backward, a, b, 1.0)[0].sum());
        }
    }

    [Fact]
    public void An_exception_in_a_forward_is_thrown_where_it_is_called()
    {
        (Tensor a, Tensor b) = Leaves();
        Assert.Throws<ArgumentException>(() => ProductAndSum.Run(_backward, a, b, double.NaN));
        _backward.Run(ProductAndSum.Run(_backward, a, b, 1.0)[0].sum());
    }

    /// <summary>All outputs are used here: for one that is not, TorchSharp counts an empty gradient that it never counts off.</summary>
    [Fact]
    public void Nothing_is_left_behind()
    {
        (Tensor a, Tensor b) = Leaves();
        void Once()
        {
            using var scope = NewDisposeScope();
            Tensor[] outputs = ProductAndSum.Run(_backward, Recomputed.Run(_backward, a, b)[0], b, 2.0);
            _backward.Run(outputs[0].sum() + outputs[1].sum());
            a.grad = null;
            b.grad = null;
        }
        for (int n = 0; n < 5; n++) Once();
        long before = Alone.SettledTensors();
        for (int n = 0; n < 50; n++) Once();
        Alone.AssertNoMoreTensorsThan(before);
    }

    private static (Tensor A, Tensor B) Leaves()
    {
        using var generator = new Generator(7);
        return (
            rand(3, 5, ScalarType.Float64, generator: generator).requires_grad_(true),
            rand(3, 5, ScalarType.Float64, generator: generator).requires_grad_(true));
    }

    private sealed class ProductAndSum : AutogradFunction<ProductAndSum>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            var (a, b, factor) = ((Tensor)inputs[0], (Tensor)inputs[1], (double)inputs[2]);
            if (double.IsNaN(factor)) throw new ArgumentException("no number");
            context.save_for_backward([a, b]);
            context.save_data("factor", factor);
            return [a * b * factor, a + b];
        }

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            List<Tensor> saved = context.get_saved_variables();
            double factor = (double)context.get_data("factor");
            Tensor product = gradients[0] ?? zeros_like(saved[0]), sum = gradients[1] ?? zeros_like(saved[0]);
            Tensor scaled = product * factor;
            return [scaled * saved[1] + sum, scaled * saved[0] + sum, null];
        }
    }

    private sealed class Recomputed : AutogradFunction<Recomputed>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs)
        {
            context.save_for_backward([(Tensor)inputs[0], (Tensor)inputs[1]]);
            return [(Tensor)inputs[0] * (Tensor)inputs[1] * 2.0];
        }

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            using IDisposable loud = enable_grad(true);
            List<Tensor> leaves = [.. context.get_saved_variables().Select(t => t.detach().requires_grad_(true))];
            var inner = new BackwardPass();
            Tensor[] outputs = ProductAndSum.Run(inner, leaves[0], leaves[1], 2.0);
            inner.Run((outputs[0] * gradients[0]!).sum() + outputs[1].sum() * 0);
            return [.. leaves.Select(leaf => leaf.grad)];
        }
    }

    private sealed class Short : AutogradFunction<Short>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) => [gradients[0]! * 2.0];
    }

    private sealed class Mismatched : AutogradFunction<Mismatched>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) =>
            [gradients[0]!.mm(gradients[0]!)];
    }

    private sealed class Misshapen : AutogradFunction<Misshapen>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) =>
            [gradients[0]!.narrow(0, 0, 2)];
    }

    private sealed class Failing : AutogradFunction<Failing>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) =>
            throw new NotSupportedException("no backward today");
    }
}
