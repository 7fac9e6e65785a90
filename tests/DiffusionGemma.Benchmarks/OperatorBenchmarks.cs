using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>Forward and backward of single operators on the benchmark's shape, for an encoder row (384 tokens) and a canvas (64), on one thread.</summary>
[MemoryDiagnoser]
public class OperatorBenchmarks
{
    private const int Hidden = 512, Expert = 192, Dense = 768, ExpertCount = 32, Choices = 4, Vocabulary = 32_768;
    private Tensor _x = null!, _gate = null!, _up = null!, _norm = null!, _dy = null!, _dWide = null!, _weights = null!, _indices = null!, _table = null!, _targets = null!, _all = null!;
    private Experts _experts = null!, _frozenExperts = null!;
    private Linear _adapted = null!;
    private PassContext _context = null!;

    [Params(64, 384)]
    public int Tokens { get; set; }

    [Params(false, true)]
    public bool Bfloat16 { get; set; }

    /// <summary>Runs in this process: one that the harness built would lack the mended TorchSharp.</summary>
    public static void Run(bool quick) => BenchmarkRunner.Run<OperatorBenchmarks>(
        DefaultConfig.Instance.AddJob((quick ? Job.Dry : Job.ShortRun).WithToolchain(InProcessEmitToolchain.Instance)).WithOption(ConfigOptions.DisableOptimizationsValidator, true)
            .WithArtifactsPath(Path.Combine(Fixtures.Root, "out", "operators")));

    [GlobalSetup]
    public void Setup()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        set_num_threads(1);
        ScalarType dtype = Bfloat16 ? ScalarType.BFloat16 : ScalarType.Float32;
        using var generator = new Generator(1);
        Tensor Numbers(double scale, params long[] shape) => (randn(shape, generator: generator) * scale).to(dtype);
        var buffers = new List<(Tensor Parameter, Tensor Buffer)>();
        Tensor Trained(double scale, params long[] shape)
        {
            Tensor parameter = Numbers(scale, shape).requires_grad_(true);
            buffers.Add((parameter, zeros(shape)));
            return parameter;
        }
        (_x, _dy, _dWide) = (Numbers(1, Tokens, Hidden).requires_grad_(true), Numbers(1, Tokens, Hidden), Numbers(1, Tokens, Dense));
        (_gate, _up, _norm) = (Numbers(1, Tokens, Dense).requires_grad_(true), Numbers(1, Tokens, Dense).requires_grad_(true), Trained(1, Hidden));
        _weights = rand(Tokens, Choices, generator: generator).requires_grad_(true);
        _indices = stack(Enumerable.Range(0, Tokens).Select(_ => randperm(ExpertCount, generator: generator).narrow(0, 0, Choices)));
        _experts = new Experts("", Trained(0.05, ExpertCount, 2 * Expert, Hidden), Trained(0.05, ExpertCount, Hidden, Expert), new SingleRank());
        _frozenExperts = new Experts("", _experts.GateUp.detach(), _experts.Down.detach(), new SingleRank());
        _adapted = new Linear("", Numbers(0.05, Hidden, Hidden))
        {
            EncoderLora = new LoraPair(randn(16, Hidden, generator: generator).requires_grad_(true), zeros(Hidden, 16).requires_grad_(true), 2),
        };
        _table = Trained(0.05, Vocabulary, Hidden);
        _context = new PassContext(Pass.Encoder) { Gradients = new GradientSink(buffers) };
        (_targets, _all) = (randint(0, Vocabulary, [Tokens], generator: generator), ones(Tokens, dtype: ScalarType.Bool));
    }

    [Benchmark]
    public void ExpertsTrained() => Backward(() => _experts.Forward(_x, _weights, _indices, _context), _dy);

    [Benchmark]
    public void ExpertsFrozen() => Backward(() => _frozenExperts.Forward(_x, _weights, _indices, _context), _dy);

    [Benchmark]
    public void RmsNormOwn() => Backward(() => RmsNorm.Normalize(_x, _norm, 1e-6, _context), _dy);

    [Benchmark]
    public void RmsNormAutograd() => Backward(() => TorchOperators.RmsNorm(_x, _norm, 1e-6), _dy);

    [Benchmark]
    public void GatedActivationOwn() => Backward(() => GatedActivation.Activate(_gate, _up, _context), _dWide);

    [Benchmark]
    public void GatedActivationAutograd() => Backward(() => GatedMlp.GeluTanh(_gate) * _up, _dWide);

    [Benchmark]
    public void LoraOwn() => Backward(() => _adapted.Forward(_x, _context), _dy);

    [Benchmark]
    public void LoraAutograd() => Backward(() => nn.functional.linear(_x, _adapted.Weight) + ReferenceAlgorithm.Delta(_adapted.EncoderLora!, _x), _dy);

    [Benchmark]
    public void HeadLossTrained()
    {
        using var scope = NewDisposeScope();
        HeadLoss.SumAndGradient(_x, _table, _targets, _all, 30, 1, _context.Gradients);
    }

    private void Backward(Func<Tensor> forward, Tensor dy)
    {
        using var scope = NewDisposeScope();
        _context.Backward.Run([(forward(), dy)]);
        foreach (Tensor leaf in new[] { _x, _gate, _up, _weights, _norm }) leaf.grad = null;
    }
}
