using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public class KernelThreadsTests : TorchTest
{
    private readonly Generator _generator = new(29);

    public static TheoryData<int> Widths => Width.All;

    /// <summary>Sizes that are work enough for several threads, of every kernel.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Several_threads_change_no_bit(int width)
    {
        ManagedKernels kernels = Width.Kernels(width);
        using IDisposable quiet = no_grad();
        Tensor x = Numbers(200, 512), few = Numbers(40, 512), table = Numbers(4096, 512), weights = Numbers(200, 4096);
        Tensor stacks = Numbers(5, 256, 512);
        Tensor norm = Numbers(512), heads = Numbers(2, 400, 8, 64).transpose(1, 2), angles = Numbers(2, 1, 400, 64);
        Tensor targets = randint(0, 4096, [200], generator: _generator);
        long[] counts = [90, 0, 3, 100, 7];
        Tensor[] All()
        {
            Tensor linear = empty(200, 256), plain = empty(200, 512), outer = ones(4096, 512), softmax = weights.clone();
            Tensor loss = weights.clone();
            Tensor dGate = empty_like(weights), dUp = empty_like(weights), wide = empty(40, 4096), product = empty(200, 512);
            Tensor part = empty(64, 512);
            double[] totals = new double[200], entropies = new double[200];
            Assert.True(kernels.TryLinear(x, stacks, counts, linear));
            Assert.True(kernels.TryMatMul(linear, stacks, counts, plain));
            Assert.True(kernels.TryLinear(few, table, [40], wide));
            Assert.True(kernels.TryMatMul(weights, table, [200], product));
            Assert.True(kernels.TryMatMul(weights.narrow(0, 0, 64), table, [64], part));
            Assert.True(kernels.TryAddOuter(weights, x, outer));
            Assert.True(kernels.TryCappedSoftmax(softmax, [.. Enumerable.Repeat(20.0, 200)], totals, entropies, new int[200]));
            double? sum = kernels.TryCappedCrossEntropy(loss, targets, 30, withGradient: true);
            Assert.True(kernels.TryGatedGeluBackward(weights, weights, loss, null, dGate, dUp, null));
            return
            [
                linear, plain, wide, product, part, outer, softmax, tensor(totals), tensor(entropies), loss, tensor(sum!.Value), dGate, dUp,
                kernels.TryRmsNorm(weights, null, 1e-6)!, kernels.TryRmsNormBackward(x, x, norm, 1e-6, zeros(512))!,
                kernels.TryRmsNormBackward(weights, loss, null, 1e-6, null)!, kernels.TryGatedGelu(weights, loss, null)!,
                kernels.TryRotate(heads, angles.cos(), angles.sin(), transposed: false)!,
            ];
        }
        Tensor[] expected = All();
        try
        {
            TorchThreads.SetHere(3);
            foreach ((Tensor a, Tensor b) in expected.Zip(All())) Assert.Equal(0, Largest(a, b));
        }
        finally
        {
            TorchThreads.SetHere(1);
        }
    }

    /// <summary>They are libtorch's own: the parallel region is found wherever its OpenMP runtime is GNU's or LLVM's.</summary>
    [Fact]
    public void Kernels_share_libtorchs_threads()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Elsewhere libtorch may be built with another OpenMP runtime.");
        Assert.True(OpenMp.IsFound);
        var seen = new ConcurrentDictionary<int, int>();
        using var meeting = new Barrier(3);
        OpenMp.Run(3, 3, part =>
        {
            meeting.SignalAndWait();                                                             // each part on a thread of its own
            seen[Environment.CurrentManagedThreadId] = part;
        });
        Assert.Equal(3, seen.Count);
        Assert.Contains(Environment.CurrentManagedThreadId, seen.Keys);
    }

    [Fact]
    public void A_parts_failure_is_thrown_where_it_was_asked_for()
    {
        var error = Assert.Throws<InvalidOperationException>(() => OpenMp.Run(2, 8, part => throw new InvalidOperationException("broken")));
        Assert.Equal("broken", error.Message);
    }

    /// <summary>
    /// Workers share out the caller's threads, and leave the caller's, and those of threads that are yet to come, as they were.
    /// </summary>
    [Fact]
    public void Workers_share_torch_threads_out()
    {
        try
        {
            TorchThreads.SetHere(4);
            using var workers = new Workers(2);
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
        FineTuneOptions options = TinyRows.Options with
        {
            Run = TinyRows.Options.Run with { MicroBatchSize = 1 },
            Lora = new LoraOptions(),
        };
        try
        {
            TorchThreads.SetHere(4);
            int? WorkersWithin(int planned, long less)
            {
                long budget = TrainingPlan.Compute(model.Config, options, ScalarType.Float32, 26, workers: planned).TotalBytes - less;
                return FineTuner.WithinMemory(
                    model.Config, options with { Run = options.Run with { MemoryBudget = budget } }, ScalarType.Float32, 26,
                    new RankLayout([CPU], 0, 1, 1, model.Config.NumExperts)).Parallel.Workers;
            }
            int?[] workers = [WorkersWithin(4, 0), WorkersWithin(4, 1), WorkersWithin(3, 0), WorkersWithin(3, 1), WorkersWithin(1, 0)];
            Assert.Equal([4, 3, 3, 2, 1], workers);
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
