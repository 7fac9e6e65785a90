using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// AdamW with decoupled weight decay on every parameter (Loshchilov and Hutter 2019). Parameters below float32 have a float32 master copy
/// here, and their gradients are added up in float32; of others the backward adds gradients up in place. A parameter that a step did not reach has gradient zero, not no gradient: its moments
/// decay and its weights too.
/// </summary>
internal sealed class AdamW : IDisposable
{
    private readonly Slot[] _slots;
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;

    public AdamW(IReadOnlyList<Tensor> parameters, double beta1, double beta2, double epsilon, double weightDecay)
    {
        (_beta1, _beta2, _epsilon, _weightDecay) = (beta1, beta2, epsilon, weightDecay);
        _slots = [.. parameters.Select(p => new Slot(p))];
    }

    /// <summary>Takes what the last backward left in the parameters' gradients, adding it to what earlier micro-batches left.</summary>
    public void AccumulateGradients()
    {
        using IDisposable quiet = no_grad();
        foreach (Slot slot in _slots) slot.Accumulate();
    }

    /// <summary>The 2-norm over all accumulated gradients; they are then multiplied by min(1, maximum / (norm + 1e-6)).</summary>
    public double ClipGradients(double maximum)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor norm = stack(_slots.Select(s => s.Gradient.norm())).norm();
        double value = norm.to(ScalarType.Float64).item<double>();
        double factor = Math.Min(1, maximum / (value + 1e-6));
        if (factor < 1)
            foreach (Slot slot in _slots) slot.Gradient.mul_(factor);
        return value;
    }

    /// <summary>One step with the accumulated gradients, which are zero afterwards.</summary>
    public void Step(double learningRate)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Slot slot in _slots) slot.Steps.add_(1);
        TorchOperators.FusedAdamW(
            [.. _slots.Select(s => s.Master)], [.. _slots.Select(s => s.Gradient)], [.. _slots.Select(s => s.FirstMoment)],
            [.. _slots.Select(s => s.SecondMoment)], [.. _slots.Select(s => s.Steps)], learningRate, _beta1, _beta2, _weightDecay, _epsilon);
        foreach (Slot slot in _slots) slot.Publish();
    }

    /// <summary>Weights and moments of each parameter, in the order in which they were given; owned by this optimiser.</summary>
    public IReadOnlyList<(Tensor Master, Tensor FirstMoment, Tensor SecondMoment)> State() => [.. _slots.Select(s => (s.Master, s.FirstMoment, s.SecondMoment))];

    /// <summary>Goes on from the state that <see cref="State"/> now holds, after that many steps.</summary>
    public void Restored(int steps)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Slot slot in _slots) slot.Steps.fill_(steps);
        Publish();
    }

    /// <summary>Gives the parameters their masters' values, and throws accumulated gradients away.</summary>
    public void Publish()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Slot slot in _slots) slot.Publish();
    }

    /// <summary>Throws accumulated gradients away.</summary>
    public void DropGradients()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Slot slot in _slots) slot.Gradient.zero_();
    }

    public void Dispose()
    {
        foreach (Slot slot in _slots) slot.Dispose();
    }

    /// <summary>One parameter with all that belongs to it.</summary>
    private sealed class Slot : IDisposable
    {
        private readonly Tensor _parameter;
        private readonly bool _isWide;

        public Slot(Tensor parameter)
        {
            using IDisposable quiet = no_grad();
            using var scope = NewDisposeScope();
            _parameter = parameter;
            ScalarType dtype = RotaryEmbedding.AtLeastFloat32(parameter.dtype);
            _isWide = parameter.dtype == dtype;
            Master = (_isWide ? parameter.detach() : parameter.detach().to(dtype)).DetachFromDisposeScope();
            Gradient = zeros_like(Master).DetachFromDisposeScope();
            if (_isWide) parameter.grad = Gradient;
            FirstMoment = zeros_like(Master).DetachFromDisposeScope();
            SecondMoment = zeros_like(Master).DetachFromDisposeScope();
            Steps = zeros([], dtype: ScalarType.Float32, device: parameter.device).DetachFromDisposeScope();
        }

        /// <summary>Shares the parameter's memory where its dtype is wide enough.</summary>
        public Tensor Master { get; }

        public Tensor Gradient { get; }

        public Tensor FirstMoment { get; }

        public Tensor SecondMoment { get; }

        public Tensor Steps { get; }

        public void Accumulate()
        {
            using var scope = NewDisposeScope();
            if (_isWide || _parameter.grad is not { } gradient) return;
            Gradient.add_(gradient);
            _parameter.grad = null;
        }

        public void Publish()
        {
            if (!_isWide) _parameter.copy_(Master);
            Gradient.zero_();
        }

        public void Dispose()
        {
            foreach (Tensor tensor in new[] { Master, Gradient, FirstMoment, SecondMoment, Steps }) tensor.Dispose();
        }
    }
}
