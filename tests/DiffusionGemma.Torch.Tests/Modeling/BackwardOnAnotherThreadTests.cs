using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A backward on another thread than its forward, as on CUDA, where libtorch calls the functions on a thread of its own: on a CPU it calls
/// them on the thread that starts the backward. The results equal those of one thread to the last bit.
/// </summary>
[Collection(Alone.Name)]
public class BackwardOnAnotherThreadTests : TorchTest
{
    private const double Dropout = 0.3;
    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float64);

    /// <summary>Every function of the model: a LoRA step on expert stacks too, with dropout and with a sink, kept or recomputed.</summary>
    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Gradients_are_those_of_one_thread(bool recompute, bool drop)
    {
        using LoraAdapter adapter = LoraAdapter.Create(_model, new LoraOptions { Rank = 4, Experts = true, Dropout = Dropout }, seed: 3);
        using (no_grad())
            // B is zero at first, and A would get no gradient
            foreach (Tensor b in adapter.Parameters().Select(p => p.Value)) b.add_(0.01);
        _model.Adapter = adapter;
        foreach (Tensor parameter in adapter.Parameters().Select(p => p.Value)) parameter.requires_grad_(true);
        try
        {
            Tensor[] expected = Gradients(adapter, recompute, drop, OnThisThread);
            Tensor[] got = Gradients(adapter, recompute, drop, OnAnotherThread);
            Assert.Equal(expected.Length, got.Length);
            Assert.All(expected, gradient => Assert.True(gradient.abs().max().item<double>() > 0));
            foreach ((Tensor a, Tensor b) in expected.Zip(got)) Assert.Equal(0, Largest(b, a));
        }
        finally
        {
            _model.Adapter = null;
        }
    }

    [Fact]
    public void An_exception_is_thrown_where_the_backward_was_started_and_by_no_other()
    {
        using var generator = new Generator(5);
        Tensor x = randn(3, 4, dtype: ScalarType.Float64, generator: generator).requires_grad_(true);
        BackwardPass failing = new(), sound = new();
        Tensor bad = Failing.Run(failing, x)[0].sum(), good = Doubled.Run(sound, x)[0].sum();
        Exception? fault = null;
        OnAnotherThread(() => fault = Record.Exception(() => failing.Run(bad)));
        Assert.IsType<NotSupportedException>(fault);
        Assert.False(failing.HasFailed);
        sound.Run(good);                                                                       // this thread knows nothing of it
        Assert.Equal(0, Largest(x.grad!, full_like(x, 2)));
    }

    [Fact]
    public void A_wrong_number_of_gradients_is_an_exception()
    {
        Tensor x = ones(3).requires_grad_(true);
        var backward = new BackwardPass();
        Tensor loss = Short.Run(backward, x, x)[0].sum();
        Exception? fault = null;
        OnAnotherThread(() => fault = Record.Exception(() => backward.Run(loss)));
        Assert.Contains(
            "Short returned 1 gradients for 2 inputs", Assert.IsType<InvalidOperationException>(fault).Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// Returned gradients are let go when their backward ends, whichever thread ran it, and outlive a collection until then.
    /// </summary>
    [Fact]
    public void Returned_gradients_are_freed_with_their_backward()
    {
        Tensor x = ones(3, dtype: ScalarType.Float64).requires_grad_(true);
        void Once()
        {
            using var scope = NewDisposeScope();
            var backward = new BackwardPass();
            Tensor y = x;
            for (int n = 0; n < 20; n++) y = Doubled.Run(backward, y)[0];
            Tensor loss = y.sum();
            OnAnotherThread(() => backward.Run(loss));
            Assert.Equal(Math.Pow(2, 20), x.grad![0].item<double>());
            x.grad = null;
        }
        for (int n = 0; n < 5; n++) Once();
        long before = Alone.SettledTensors();
        for (int n = 0; n < 50; n++) Once();
        Alone.AssertNoMoreTensorsThan(before);
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private Tensor[] Gradients(LoraAdapter adapter, bool recompute, bool drop, Action<Action> run)
    {
        Tensor[] parameters = [.. adapter.Parameters().Select(p => p.Value)], buffers = [.. parameters.Select(p => zeros_like(p))];
        using DropoutStream? encoderDropout = drop ? new(Dropout, 1) : null, decoderDropout = drop ? new(Dropout, 2) : null;
        PassContext encoder = new(Pass.Encoder)
        {
            Gradients = new GradientSink(parameters.Zip(buffers)), RecomputesActivations = recompute, Dropout = encoderDropout,
        };
        PassContext decoder = encoder with { Pass = Pass.Decoder, Dropout = decoderDropout };
        using var generator = new Generator(9);
        Tensor prompt = randint(4, _model.Config.VocabularySize, [2, 20], generator: generator);
        Tensor canvas = randint(4, _model.Config.VocabularySize, [2, 8], generator: generator);
        using EncoderCache cache = _model.Encode(prompt, null, null, encoder);
        Tensor decoded = _model.Decode(canvas, cache, null, null, null, null, decoder);
        Tensor loss = decoded.square().sum() + cache.LastHiddenState.square().sum();
        run(() => encoder.Backward.Run(loss));
        Assert.All(parameters, p => Assert.Null(p.grad));
        return buffers;
    }

    private static void OnThisThread(Action action) => action();

    private static void OnAnotherThread(Action action)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private sealed class Doubled : AutogradFunction<Doubled>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients)
        {
            GC.Collect();                                                                      // what was returned before must outlive it
            return [gradients[0]! * 2.0];
        }
    }

    private sealed class Failing : AutogradFunction<Failing>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) =>
            throw new NotSupportedException("no backward today");
    }

    private sealed class Short : AutogradFunction<Short>
    {
        protected override Tensor[] Forward(autograd.AutogradContext context, object[] inputs) => [(Tensor)inputs[0] * 2.0];

        protected override Tensor?[] Backward(autograd.AutogradContext context, IReadOnlyList<Tensor?> gradients) => [gradients[0]! * 2.0];
    }
}
