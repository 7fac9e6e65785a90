using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Parameters that are replicated over the ranks of a group, each of which updates a share (ZeRO, Rajbhandari et al. 2020, stage 2): every
/// rank accumulates its own gradients, receives the sums of its share, steps with the master weights and moments of that share, and
/// receives the other ranks' new weights.
/// <code>
/// 2 ranks, parameters a a a b b        gradients    rank 0   a a a b b      rank 1   a a a b b
///                                      summed                a a a                         b b
///                                      state of              a a a                         b b
///                                      weights               a a a b b               a a a b b
/// </code>
/// A single rank has all shares: weights in at least float32 are then their own masters.
/// </summary>
internal sealed class ParameterBucket : IDisposable
{
    private readonly IReadOnlyList<Tensor> _parameters;
    private readonly IProcessGroup _ranks;
    private readonly FlatBuffer _gradients, _firstMoments, _secondMoments, _masters;
    private readonly Tensor[] _owned;

    /// <param name="parameters">Parameters on one device, equal on all ranks.</param>
    /// <param name="ranks">The ranks.</param>
    public ParameterBucket(IReadOnlyList<Tensor> parameters, IProcessGroup ranks)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        (_parameters, _ranks) = (parameters, ranks);
        ScalarType dtype = parameters[0].dtype.AtLeastFloat32();
        Device device = parameters[0].device;
        long[][] shapes = [.. parameters.Select(p => p.shape)];
        _gradients = new FlatBuffer(shapes, dtype, device, ranks.Size);
        long[][] state = IsShared ? [[_gradients.Share]] : shapes;
        _firstMoments = new FlatBuffer(state, dtype, device);
        _secondMoments = new FlatBuffer(state, dtype, device);
        _masters = new FlatBuffer(IsShared ? state : [.. shapes.Where((_, n) => !IsWide(parameters[n]))], dtype, device);
        if (IsShared)
        {
            Gradients = [_gradients.Whole.narrow(0, ranks.Rank * _gradients.Share, _gradients.Share).DetachFromDisposeScope()];
            Weights = _masters.Parts;
            _owned = [.. Gradients];
            for (int n = 0; n < parameters.Count; n++)
                if (_gradients.Overlap(n, ranks.Rank) is (long first, long count and > 0, long at))
                    Weights[0].narrow(0, at, count).copy_(parameters[n].flatten().narrow(0, first, count));
        }
        else
        {
            Gradients = _gradients.Parts;
            int narrow = 0;
            Weights = [.. parameters.Select(p => IsWide(p) ? p.detach().DetachFromDisposeScope() : _masters.Parts[narrow++].copy_(p))];
            _owned = [.. Weights.Where((_, n) => IsWide(parameters[n]))];
        }
    }

    /// <summary>The weights that this rank updates.</summary>
    public IReadOnlyList<Tensor> Weights { get; }

    /// <summary>The gradient of each of <see cref="Weights"/>; after <see cref="Reduce"/> the sum over all ranks.</summary>
    public IReadOnlyList<Tensor> Gradients { get; }

    /// <summary>AdamW's m of each of <see cref="Weights"/>.</summary>
    public IReadOnlyList<Tensor> FirstMoments => _firstMoments.Parts;

    /// <summary>AdamW's v of each of <see cref="Weights"/>.</summary>
    public IReadOnlyList<Tensor> SecondMoments => _secondMoments.Parts;

    private bool IsShared => _ranks.Size > 1;

    /// <summary>Allocates a separate buffer of gradients, of the same layout.</summary>
    public FlatBuffer NewGradients() => new([.. _parameters.Select(p => p.shape)], _gradients.DType, _parameters[0].device, _ranks.Size);

    /// <summary>The parameters, in the order of a buffer's views.</summary>
    public IReadOnlyList<Tensor> Parameters => _parameters;

    /// <summary>This rank's own gradient of each of <see cref="Parameters"/>, of the parameter's shape.</summary>
    public IReadOnlyList<Tensor> ParameterGradients => _gradients.Parts;

    /// <summary>Sums this rank's share of the gradients of all workers and all ranks. A collective.</summary>
    /// <param name="workers">Buffers of <see cref="NewGradients"/>; zero afterwards.</param>
    public void Reduce(IEnumerable<FlatBuffer> workers)
    {
        foreach (FlatBuffer gradients in workers)
        {
            _gradients.Whole.add_(gradients.Whole);
            gradients.Zero();
        }
        if (IsShared) _ranks.ReduceScatter(_gradients.Whole, Gradients[0]);
    }

    /// <summary>Computes the sum of squares of this rank's share of the gradients, a float64 scalar on their device.</summary>
    public Tensor SquaredNorm() => _gradients.SquaredNorm(_ranks.Rank);

    /// <summary>Lists this rank's share of each parameter's state.</summary>
    public IEnumerable<OptimizerSlice> State()
    {
        for (int n = 0; n < _parameters.Count; n++)
        {
            if (!IsShared)
            {
                yield return new OptimizerSlice(0, Weights[n], FirstMoments[n], SecondMoments[n]);
                continue;
            }
            (long first, long count, long at) = _gradients.Overlap(n, _ranks.Rank);
            yield return new OptimizerSlice(
                first, Weights[0].narrow(0, at, count), FirstMoments[0].narrow(0, at, count), SecondMoments[0].narrow(0, at, count));
        }
    }

    /// <summary>Copies the master weights to the parameters of all ranks, and sets gradients to zero. A collective.</summary>
    public void Publish()
    {
        using var scope = NewDisposeScope();
        if (IsShared)
        {
            // Gradients are no longer needed: where their dtype is the parameters', their memory carries the gathered weights.
            Tensor whole = IsWide(_parameters[0]) ? _gradients.Whole : empty_like(_gradients.Whole, _parameters[0].dtype);
            Tensor own = whole.narrow(0, _ranks.Rank * _gradients.Share, _gradients.Share).copy_(Weights[0]);
            _ranks.AllGather(own, whole);
            foreach ((Tensor parameter, Tensor weight) in _parameters.Zip(_gradients.PartsOf(whole))) parameter.copy_(weight);
        }
        else
        {
            foreach ((Tensor parameter, Tensor weight) in _parameters.Zip(Weights))
                if (!IsWide(parameter)) parameter.copy_(weight);
        }
        _gradients.Zero();
    }

    /// <summary>Sets all gradients to zero.</summary>
    public void DropGradients() => _gradients.Zero();

    public void Dispose()
    {
        foreach (Tensor tensor in _owned) tensor.Dispose();
        foreach (FlatBuffer buffer in new[] { _gradients, _firstMoments, _secondMoments, _masters }) buffer.Dispose();
    }

    private static bool IsWide(Tensor parameter) => parameter.dtype is ScalarType.Float32 or ScalarType.Float64;
}
