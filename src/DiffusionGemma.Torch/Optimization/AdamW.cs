using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// AdamW with decoupled weight decay on every parameter (Loshchilov and Hutter 2019), over flat buffers: one for gradients, one a moment, one
/// for the float32 master copies of parameters below float32. A parameter's own part of each is a view. The backward adds gradients up in
/// place, but for those that autograd makes in a narrower dtype. A parameter that a step did not reach has gradient zero, not no gradient: its
/// moments decay and its weights too.
/// </summary>
internal sealed class AdamW : IDisposable
{
    private readonly FlatBuffer _gradients, _firstMoments, _secondMoments, _masters;
    private readonly IReadOnlyList<Tensor> _parameters;
    private readonly Tensor[] _weights, _steps;
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;
    private double _scale = 1;

    public AdamW(IReadOnlyList<Tensor> parameters, double beta1, double beta2, double epsilon, double weightDecay)
    {
        (_beta1, _beta2, _epsilon, _weightDecay) = (beta1, beta2, epsilon, weightDecay);
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        _parameters = parameters;
        ScalarType dtype = RotaryEmbedding.AtLeastFloat32(parameters[0].dtype);
        long[][] shapes = [.. parameters.Select(p => p.shape)];
        Device device = parameters[0].device;
        _gradients = new FlatBuffer(shapes, dtype, device);
        _firstMoments = new FlatBuffer(shapes, dtype, device);
        _secondMoments = new FlatBuffer(shapes, dtype, device);
        _masters = new FlatBuffer([.. shapes.Where((_, n) => !IsWide(parameters[n]))], dtype, device);
        Tensor[] masters = [.. _masters.Parts];
        int narrow = 0;
        _weights = [.. parameters.Select(p => IsWide(p) ? p.detach().DetachFromDisposeScope() : masters[narrow++].copy_(p))];
        _steps = [.. parameters.Select(_ => zeros([], dtype: ScalarType.Float32, device: device).DetachFromDisposeScope())];
        foreach ((Tensor parameter, Tensor gradient) in parameters.Zip(_gradients.Parts))
        {
            GradientBuffers.Attach(parameter, gradient);
            if (IsWide(parameter)) parameter.grad = gradient;
        }
    }

    /// <summary>Takes what the last backward left in narrow parameters' gradients, adding it to what earlier micro-batches left.</summary>
    public void AccumulateGradients()
    {
        using IDisposable quiet = no_grad();
        foreach ((Tensor parameter, Tensor buffer) in _parameters.Zip(_gradients.Parts))
        {
            using var scope = NewDisposeScope();
            if (IsWide(parameter) || parameter.grad is not { } gradient) continue;
            buffer.add_(gradient);
            parameter.grad = null;
        }
    }

    /// <summary>The 2-norm over all accumulated gradients; the step then takes them times min(1, maximum / (norm + 1e-6)).</summary>
    public double ClipGradients(double maximum)
    {
        double norm = _gradients.Norm() * _scale;
        _scale *= Math.Min(1, maximum / (norm + 1e-6));
        return norm;
    }

    /// <summary>One step with the accumulated gradients, which are zero afterwards.</summary>
    public void Step(double learningRate)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Tensor steps in _steps) steps.add_(1);
        bool isFloat64 = _gradients.DType == ScalarType.Float64;                                // the operator's divisor is a float32
        if (isFloat64 && _scale < 1) _gradients.Multiply(_scale);
        Tensor? divisor = isFloat64 || _scale == 1 ? null : full([], 1 / _scale, dtype: ScalarType.Float32, device: _steps[0].device);
        TorchOperators.FusedAdamW(
            _weights, [.. _gradients.Parts], [.. _firstMoments.Parts], [.. _secondMoments.Parts], _steps, learningRate, _beta1, _beta2, _weightDecay, _epsilon, divisor);
        Publish();
    }

    /// <summary>Weights and moments of each parameter, in the order in which they were given; owned by this optimiser.</summary>
    public IReadOnlyList<(Tensor Master, Tensor FirstMoment, Tensor SecondMoment)> State() =>
        [.. _weights.Select((weight, n) => (weight, _firstMoments.Parts[n], _secondMoments.Parts[n]))];

    /// <summary>Goes on from the state that <see cref="State"/> now holds, after that many steps.</summary>
    public void Restored(int steps)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Tensor count in _steps) count.fill_(steps);
        Publish();
    }

    /// <summary>Gives the parameters their masters' values, and throws accumulated gradients away.</summary>
    public void Publish()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach ((Tensor parameter, Tensor weight) in _parameters.Zip(_weights))
            if (!IsWide(parameter)) parameter.copy_(weight);
        DropGradients();
    }

    /// <summary>Throws accumulated gradients away.</summary>
    public void DropGradients()
    {
        _gradients.Zero();
        _scale = 1;
    }

    public void Dispose()
    {
        foreach (Tensor parameter in _parameters) GradientBuffers.Detach(parameter);
        foreach (Tensor tensor in _steps) tensor.Dispose();
        foreach ((Tensor parameter, Tensor weight) in _parameters.Zip(_weights))
            if (IsWide(parameter)) weight.Dispose();
        foreach (FlatBuffer buffer in new[] { _gradients, _firstMoments, _secondMoments, _masters }) buffer.Dispose();
    }

    private static bool IsWide(Tensor parameter) => parameter.dtype is ScalarType.Float32 or ScalarType.Float64;
}
