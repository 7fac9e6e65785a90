using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public class KernelThreadsTests : TorchTest
{
    private readonly Generator _generator = new(29);

    /// <summary>Sizes that are work enough for several threads, of every kernel.</summary>
    [Fact]
    public void Several_threads_change_no_bit()
    {
        Assert.SkipUnless(Avx512F.IsSupported, "This processor has no AVX-512.");
        using IDisposable quiet = no_grad();
        Tensor x = Numbers(200, 512), few = Numbers(40, 512), table = Numbers(4096, 512), weights = Numbers(200, 4096), stacks = Numbers(5, 256, 512), norm = Numbers(512);
        Tensor heads = Numbers(2, 400, 8, 64).transpose(1, 2), angles = Numbers(2, 1, 400, 64), targets = randint(0, 4096, [200], generator: _generator);
        long[] counts = [90, 0, 3, 100, 7];
        Tensor[] All()
        {
            Tensor linear = empty(200, 256), plain = empty(200, 512), outer = ones(4096, 512), softmax = weights.clone(), loss = weights.clone(), dGate = empty_like(weights), dUp = empty_like(weights);
            Assert.True(Avx512Products.TryTransposed(x, stacks, counts, linear));
            Assert.True(Avx512Products.TryPlain(linear, stacks, counts, plain));
            Assert.True(Avx512Products.TryAddOuter(weights, x, outer));
            Assert.True(Avx512Softmax.TryRun(softmax, [.. Enumerable.Repeat(20.0, 200)], new double[200], new double[200], new int[200]));
            Assert.True(Avx512CrossEntropy.TryRun(loss, targets, 30, withGradient: true, out double sum));
            Assert.True(Avx512GatedActivation.TryBackward(weights, weights, loss, null, dGate, dUp, null));
            return
            [
                linear, plain, outer, softmax, loss, tensor(sum), dGate, dUp, Kernels.Linear(few, table), Kernels.MatMul(weights, table), Kernels.MatMul(weights.narrow(0, 0, 64), table),
                Avx512RmsNorm.TryForward(weights, null, 1e-6)!, Avx512RmsNorm.TryBackward(x, x, norm, 1e-6, zeros(512))!, Avx512GatedActivation.TryForward(weights, loss, null)!,
                Avx512Rotation.TryRun(heads, angles.cos(), angles.sin(), transposed: false)!,
            ];
        }
        Tensor[] expected = All();
        try
        {
            TorchThreads.SetHere(3);
            using (KernelThreads.Take(CPU, ScalarType.Float32))
            {
                Assert.Equal((3, 1), (KernelThreads.Count, get_num_threads()));
                foreach ((Tensor a, Tensor b) in expected.Zip(All())) Assert.Equal(0, Largest(a, b));
            }
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }

    [Fact]
    public void Threads_come_back()
    {
        int elsewhere = 0;
        void Elsewhere()
        {
            var thread = new Thread(() => elsewhere = get_num_threads());
            thread.Start();
            thread.Join();
        }
        try
        {
            TorchThreads.SetHere(3);
            Assert.Null(KernelThreads.Take(CPU, ScalarType.Float64));
            Assert.Null(KernelThreads.Take(CPU, ScalarType.BFloat16));
            using (KernelThreads.Take(CPU, ScalarType.Float32))
            {
                Elsewhere();
                Assert.Equal(3, elsewhere);                                                    // threads that are yet to come know nothing of it
            }
            Assert.Equal((1, 3), (KernelThreads.Count, get_num_threads()));
            Elsewhere();
            Assert.Equal(3, elsewhere);
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
        Assert.Null(KernelThreads.Take(CPU, ScalarType.Float32));                              // one thread is torch's own
    }

    /// <summary>Workers share out the caller's threads, and leave the caller's, and those of threads that are yet to come, as they were.</summary>
    [Fact]
    public void Workers_share_torch_threads_out()
    {
        try
        {
            TorchThreads.SetHere(4);
            using var workers = new Workers(2, CPU, ScalarType.Float64);
            int[] seen = new int[2];
            workers.Run(worker => seen[worker] = get_num_threads());
            Assert.Equal([2, 2], seen);
            Assert.Equal(4, get_num_threads());
            int later = 0;
            var thread = new Thread(() => later = get_num_threads());
            thread.Start();
            thread.Join();
            Assert.Equal(4, later);
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }

    [Fact]
    public void Workers_that_nobody_asked_for_fit_the_memory_budget()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        FineTuneOptions options = TinyRows.Options with { Run = TinyRows.Options.Run with { MicroBatchSize = 1 }, Lora = new LoraOptions() };
        try
        {
            TorchThreads.SetHere(4);
            int? Chosen(int workers, long less) => FineTuner.WithinMemory(
                model.Config, options with { Run = options.Run with { MemoryBudget = TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26, workers: workers).TotalBytes - less } }, ScalarType.Float32, 26,
                new RankLayout([CPU], 0, 1, 1, model.Config.NumExperts)).Parallel.Workers;
            Assert.Equal([4, 3, 3, 2, 1], [Chosen(4, 0), Chosen(4, 1), Chosen(3, 0), Chosen(3, 1), Chosen(1, 0)]);
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }

    [Fact]
    public void Parts_cover_everything_once()
    {
        try
        {
            TorchThreads.SetHere(3);
            using IDisposable? taken = KernelThreads.Take(CPU, ScalarType.Float32);
            foreach (int items in new[] { 0, 1, 2, 7, 100 })
            {
                int[] seen = new int[items];
                KernelThreads.For(items, 1_000_000_000, (from, to) =>
                {
                    for (long i = from; i < to; i++) Interlocked.Increment(ref seen[i]);
                });
                Assert.All(seen, count => Assert.Equal(1, count));
            }
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }

    public override void Dispose()
    {
        _generator.Dispose();
        base.Dispose();
    }

    private Tensor Numbers(params long[] shape) => randn(shape, generator: _generator);
}
