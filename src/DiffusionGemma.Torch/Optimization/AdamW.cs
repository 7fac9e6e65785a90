using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// AdamW with decoupled weight decay on every parameter (Loshchilov and Hutter 2019), over flat buffers: one for gradients, one for each
/// moment, one for the float32 master copies of parameters below float32; a parameter's part of each is a view. The backward accumulates
/// gradients in place (<see cref="Gradients"/>). A parameter that a step did not reach has gradient zero, not no gradient: its moments and
/// weights decay. Each of several ranks updates a share of the parameters that it has in common with others (<see
/// cref="ParameterBucket"/>).
/// </summary>
internal sealed class AdamW : IDisposable
{
    /// <summary>
    /// Elements of a bucket that ranks share: enough to use a link well, few enough that a copy in flight is small beside the model.
    /// </summary>
    private const long BucketElements = 1 << 25;

    private readonly ParameterBucket[] _buckets;
    private readonly int[] _order;
    private readonly Tensor[] _weights, _gradients, _firstMoments, _secondMoments, _steps;
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;
    private readonly List<WorkerGradients> _workers = [];
    private double _scale = 1;

    public AdamW(IReadOnlyList<Tensor> parameters, double beta1, double beta2, double epsilon, double weightDecay)
        : this(
            [.. parameters.Select(p => new TrainedParameter("", p, ExpertSlice.None))], RankGroups.Single(parameters[0].device),
            beta1, beta2, epsilon, weightDecay)
    {
    }

    public AdamW(
        IReadOnlyList<TrainedParameter> parameters, RankGroups ranks, double beta1, double beta2, double epsilon, double weightDecay)
    {
        (_beta1, _beta2, _epsilon, _weightDecay) = (beta1, beta2, epsilon, weightDecay);
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        (long, bool)[] sizes = [.. parameters.Select(p => (p.Value.numel(), p.Slice != ExpertSlice.None))];
        List<int>[] buckets = [.. Split(sizes, ranks.World.Size, ranks.Replicas.Size)];
        _buckets = [.. buckets.Select(bucket => new ParameterBucket(
            [.. bucket.Select(n => parameters[n].Value)], parameters[bucket[0]].Slice == ExpertSlice.None ? ranks.World : ranks.Replicas))];
        _order = new int[parameters.Count];
        foreach ((int place, int n) in buckets.SelectMany(bucket => bucket).Index()) _order[n] = place;
        Gradients = new GradientSink(_buckets.SelectMany(bucket => bucket.Parameters.Zip(bucket.ParameterGradients)));
        Tensor[] All(Func<ParameterBucket, IEnumerable<Tensor>> of) => [.. _buckets.SelectMany(of)];
        (_weights, _gradients) = (All(b => b.Weights), All(b => b.Gradients));
        (_firstMoments, _secondMoments) = (All(b => b.FirstMoments), All(b => b.SecondMoments));
        _steps = [.. _weights.Select(w => zeros([], dtype: ScalarType.Float32, device: w.device).DetachFromDisposeScope())];
    }

    /// <summary>Memory that gradients of the parameters are added to.</summary>
    public GradientSink Gradients { get; }

    /// <summary>Allocates memory for the gradients of another thread, which <see cref="ReduceGradients"/> adds to the sum.</summary>
    public WorkerGradients AddWorker()
    {
        var gradients = new WorkerGradients(_buckets);
        _workers.Add(gradients);
        return gradients;
    }

    /// <summary>Sums the gradients of all workers and ranks. A collective.</summary>
    public void ReduceGradients()
    {
        using IDisposable quiet = no_grad();
        foreach ((int n, ParameterBucket bucket) in _buckets.Index()) bucket.Reduce(_workers.Select(worker => worker.Buffers[n]));
    }

    /// <summary>Computes the sum of squares of this rank's share of the gradients: a float64 scalar on their device.</summary>
    public Tensor SquaredNorm()
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        // Every element of every gradient is in one share of one rank: experts that several ranks hold are counted once too.
        Tensor sum = zeros([], dtype: ScalarType.Float64, device: _weights[0].device);
        foreach (ParameterBucket bucket in _buckets) sum.add_(bucket.SquaredNorm());
        return sum.MoveToOuterDisposeScope();
    }

    /// <summary>Returns the 2-norm of all gradients; the step scales them by min(1, maximum / (norm + 1e-6)).</summary>
    /// <param name="squaredNorm">The sum of <see cref="SquaredNorm"/> over all ranks.</param>
    /// <param name="maximum">The largest norm that is left as it is.</param>
    public double ClipGradients(double squaredNorm, double maximum)
    {
        double norm = Math.Sqrt(squaredNorm) * _scale;
        _scale *= Math.Min(1, maximum / (norm + 1e-6));
        return norm;
    }

    /// <summary>Takes one step with the accumulated gradients, and sets them to zero. A collective.</summary>
    public void Step(double learningRate)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Tensor steps in _steps) steps.add_(1);
        bool isFloat64 = _gradients[0].dtype == ScalarType.Float64;                             // the fused operator's divisor is float32
        if (isFloat64 && _scale < 1)
            foreach (Tensor gradient in _gradients) gradient.mul_(_scale);
        Tensor? divisor = isFloat64 || _scale == 1 ? null : full([], 1 / _scale, dtype: ScalarType.Float32, device: _steps[0].device);
        TorchOperators.FusedAdamW(
            _weights, _gradients, _firstMoments, _secondMoments, _steps, learningRate, _beta1, _beta2, _weightDecay, _epsilon, divisor);
        Publish();
    }

    /// <summary>
    /// Lists what this rank updates of each parameter, in the parameters' order. The optimiser owns the tensors; views belong to the
    /// caller's scope.
    /// </summary>
    public IReadOnlyList<OptimizerSlice> State()
    {
        OptimizerSlice[] placed = [.. _buckets.SelectMany(bucket => bucket.State())];
        return [.. _order.Select(place => placed[place])];
    }

    /// <summary>Resumes after some steps, from values that were written to <see cref="State"/>. A collective.</summary>
    public void Resume(int steps)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach (Tensor count in _steps) count.fill_(steps);
        Publish();
    }

    /// <summary>Copies the master weights to the parameters, and sets gradients to zero. A collective.</summary>
    public void Publish()
    {
        using IDisposable quiet = no_grad();
        foreach (ParameterBucket bucket in _buckets) bucket.Publish();
        _scale = 1;
    }

    /// <summary>Sets all gradients to zero.</summary>
    public void DropGradients()
    {
        using IDisposable quiet = no_grad();
        foreach (ParameterBucket bucket in _buckets) bucket.DropGradients();
        foreach (FlatBuffer gradients in _workers.SelectMany(worker => worker.Buffers)) gradients.Zero();
        _scale = 1;
    }

    public void Dispose()
    {
        foreach (Tensor tensor in _steps) tensor.Dispose();
        foreach (ParameterBucket bucket in _buckets) bucket.Dispose();
        foreach (WorkerGradients worker in _workers) worker.Dispose();
    }

    /// <summary>Groups parameters into buckets: experts' apart from all others, and of limited size where ranks share them.</summary>
    /// <param name="parameters">The number of elements of each parameter of a rank.</param>
    /// <param name="world">The number of all ranks.</param>
    /// <param name="replicas">The number of ranks that hold the same experts.</param>
    internal static IEnumerable<List<int>> Split(IReadOnlyList<(long Numbers, bool IsExperts)> parameters, int world, int replicas)
    {
        foreach (IGrouping<bool, int> kind in Enumerable.Range(0, parameters.Count).GroupBy(n => world > 1 && parameters[n].IsExperts))
        {
            bool isShared = (kind.Key ? replicas : world) > 1;
            var bucket = new List<int>();
            long elements = 0;
            foreach (int n in kind)
            {
                long more = parameters[n].Numbers;
                if (isShared && bucket.Count > 0 && elements + more > BucketElements)
                {
                    yield return bucket;
                    (bucket, elements) = ([], 0);
                }
                bucket.Add(n);
                elements += more;
            }
            yield return bucket;
        }
    }
}
