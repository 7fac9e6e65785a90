using System.Diagnostics;
using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public sealed class InProcessGroupTests : TorchTest
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    [Fact]
    public void Collectives_give_the_exact_result() =>
        Property.Holds(CollectiveCase.Draw(Gen.Int[1, 5], most: 200_000 / 64), 300, one =>
            RankThreads.Succeed(InProcessGroup.Create(one.Ranks, Long), one.Check));

    [Fact]
    public void Many_in_a_row_with_ranks_that_come_late()
    {
        Property.Holds(CollectiveCase.Draw(Gen.Const(4), most: 100).Array[200], 3, cases =>
            RankThreads.Succeed(InProcessGroup.Create(4, Long), group =>
            {
                var random = new Random(group.Rank);
                foreach (CollectiveCase one in cases)
                {
                    if (random.Next(20) == 0) Thread.Sleep(random.Next(4));
                    one.Check(group);
                }
            }));
    }

    /// <summary>Large enough for several pieces; (a + b) + c in every place, on every rank, whatever the split.</summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Sums_are_made_in_the_order_of_ranks(ScalarType dtype)
    {
        Tensor[] inputs = [.. Enumerable.Range(0, 3).Select(r => randn(300_001, generator: new Generator((ulong)r)).to(dtype))];
        Tensor[] mine = [.. inputs.Select(t => t.clone())];
        Tensor expected = inputs.Skip(1).Aggregate(inputs[0].to(ScalarType.Float32), (sum, t) => sum + t).to(dtype);
        RankThreads.Succeed(InProcessGroup.Create(3, Long), group => group.AllReduce(mine[group.Rank]));
        Assert.All(mine, tensor => Assert.True(tensor.eq(expected).all().item<bool>()));
    }

    [Fact]
    public void Nested_splits_reach_the_same_ranks_and_fail_together()
    {
        InProcessGroup[] world = InProcessGroup.Create(4, Long);
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            using IProcessGroup pair = group.Split(group.Rank / 2), single = pair.Split(pair.Rank);
            Assert.Equal((2, group.Rank % 2, 1), (pair.Size, pair.Rank, single.Size));
            Tensor one = ones(3) * (group.Rank + 1);
            pair.AllReduce(one);
            Assert.Equal(group.Rank < 2 ? 3 : 7, one[0].item<float>());
            single.AllReduce(one);
            pair.Activity = $"step {group.Rank}";
            Assert.Equal(pair.Activity, group.Activity);
            group.Barrier();
            if (group.Rank == 3) single.Abort(new IOException("the disk is full"));
            pair.Barrier();
            group.Barrier();
        });
        Assert.All(ends, end => AssertCause(end, "rank 3 (step 3) failed: the disk is full"));
    }

    /// <summary>The difference of one rank, and a part of every rank's message.</summary>
    public static TheoryData<string, string> Mismatches => new()
    {
        { "operation", "rank 1 (step 7) calls all-gather of 4 float32 a rank" },
        { "barrier", "rank 1 (step 7) calls barrier" },
        { "dtype", "rank 1 (step 7) calls all-reduce of 4 float64" },
        { "size", "rank 1 (step 7) calls all-reduce of 5 float32" },
        { "root", "rank 1 (step 7) calls broadcast of 4 float32 from rank 1 of the group" },
        { "split", "rank 1 (step 7) calls split" },
        { "counts", "rank 1 (step 7) sends 1 rows to rank 2 (step 6), which expects 2" },
        { "rows", "rank 1 (step 7) calls all-to-all of rows of 1 float32" },
    };

    [Theory]
    [MemberData(nameof(Mismatches))]
    public void A_mismatch_is_reported_to_all(string kind, string message)
    {
        var watch = Stopwatch.StartNew();
        InProcessGroup[] world = InProcessGroup.Create(3, Long);
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            bool other = group.Rank == 1;
            group.Activity = other ? "step 7" : "step 6";
            group.Barrier();
            Mismatching.Call(group, kind, other);
        });
        Assert.All(ends, end => Assert.Contains(message, Assert.IsType<ProcessGroupException>(end).Message));
        Assert.All(Enumerable.Range(0, 3), r => Assert.StartsWith($"Rank {r} (step {(r == 1 ? 7 : 6)}), collective 2, ", ends[r]!.Message));
        Assert.All(RankThreads.Run(world, group => group.Barrier()), end => Assert.Contains(message, end!.Message));
        Assert.True(watch.Elapsed < Long / 2, $"{watch.Elapsed}");
    }

    [Fact]
    public void A_wrong_argument_is_reported_to_all()
    {
        InProcessGroup[] world = InProcessGroup.Create(2, Long);
        Exception?[] ends = RankThreads.Run(world, group =>
            group.AllReduce(zeros(4, dtype: group.Rank == 0 ? ScalarType.Float32 : ScalarType.Int32)));
        Assert.IsType<ProcessGroupException>(ends[0]);
        Assert.IsType<ArgumentException>(ends[0]!.InnerException);
        Assert.IsType<ArgumentException>(ends[1]);
        Assert.All(ends, end => Assert.Contains("not Int32", end!.Message));
    }

    [Fact]
    public void Arguments_are_checked()
    {
        Refused("not contiguous", g => g.AllReduce(zeros(4, 3).t()), "is not");
        Refused("parts", g => g.ReduceScatter(zeros(5), zeros(2)), "parts of 2");
        Refused("whole", g => g.AllGather(zeros(2), zeros(4)), "parts of 2");
        Refused("types", g => g.AllGather(zeros(2), zeros(2, dtype: ScalarType.Int64)), "Int64");
        Refused("overlap", g => { Tensor t = zeros(5); g.AllToAll(t.narrow(0, 0, 3), [3], t.narrow(0, 2, 3), [3]); }, "share memory");
        Refused("part", g => { Tensor t = zeros(5); g.AllGather(t.narrow(0, 0, 3), t.narrow(0, 1, 3)); }, "share memory");
        Refused("sum", g => g.AllToAll(zeros(3), [2], zeros(3), [3]), "rows sent are 2");
        Refused("negative", g => g.AllToAll(zeros(0), [-1], zeros(0), [0]), "negative");
        Refused("number", g => g.AllToAll(zeros(0), [0, 0], zeros(0), [0]), "2 counts");
        Refused("scalar", g => g.AllToAll(tensor(1f), [1], zeros(1), [1]), "dimensions");
        Refused("root", g => g.Broadcast(zeros(1), 1), "1 ranks");
        Refused("color", g => g.Split(-1), "color");

        static void Refused(string what, Action<IProcessGroup> call, string message)
        {
            Exception e = Assert.ThrowsAny<ArgumentException>(() => call(InProcessGroup.Create(1, Long)[0]));
            Assert.True(e.Message.Contains(message, StringComparison.Ordinal), $"{what}: {e.Message}");
        }
    }

    [Fact]
    public void A_missing_rank_is_named_to_all_who_wait() => TimeoutTest.Run(timeout =>
    {
        InProcessGroup[] world = InProcessGroup.Create(4, timeout);
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            group.Activity = $"step {group.Rank}";
            group.Barrier();
            if (group.Rank != 2) group.AllReduce(zeros(3));
        });
        Assert.Null(ends[2]);
        Assert.All(new[] { 0, 1, 3 }, r => Assert.Equal(
            $"Rank {r} (step {r}), collective 2, all-reduce of 3 float32: rank 2 (step 2) did not arrive within {timeout.TotalSeconds} s; "
            + "the last completed collective was 1, barrier",
            Assert.IsType<ProcessGroupException>(ends[r]).Message));
        Assert.Throws<ProcessGroupException>(world[2].Barrier);
    });

    /// <summary>
    /// At a random moment in a random sequence of collectives one rank fails: between two, or by another thread's call while it is in one.
    /// </summary>
    [Fact]
    public void A_fault_at_any_moment_ends_every_rank_with_its_cause()
    {
        Gen<(CollectiveCase[] Cases, int Rank, int Case, int Delay)> faults = Gen.Select(
            CollectiveCase.Draw(Gen.Const(3), most: 20_000).Array[6], Gen.Int[0, 2], Gen.Int[0, 5], Gen.Int[0, 300]);
        long before = Alone.SettledTensors();
        Property.Holds(faults, 200, fault =>
        {
            var watch = Stopwatch.StartNew();
            var cause = new IOException("the disk is full");
            InProcessGroup[] world = InProcessGroup.Create(3, Long);
            Exception?[] ends = RankThreads.Run(world, group =>
            {
                for (int n = 0; ; n = (n + 1) % fault.Cases.Length)
                {
                    group.Activity = $"case {n}";
                    if (group.Rank == fault.Rank && n == fault.Case)
                    {
                        if (fault.Delay % 2 == 0)
                        {
                            group.Abort(cause);                                              // before its collective
                            throw cause;
                        }
                        // From another thread, while it is in its collectives.
                        ThreadPool.UnsafeQueueUserWorkItem(_ =>
                        {
                            Thread.SpinWait(fault.Delay * 20);
                            group.Abort(cause);
                        }, null);
                    }
                    fault.Cases[n].Check(group);
                }
            });
            Assert.All(Enumerable.Range(0, 3), r =>
            {
                if (r != fault.Rank || !ReferenceEquals(ends[r], cause)) AssertCause(ends[r], $"rank {fault.Rank} (case ");
            });
            Assert.True(watch.Elapsed < Long / 2, $"{watch.Elapsed}");
            RankThreads.Succeed(InProcessGroup.Create(3, Long), fault.Cases[0].Check);
        });
        Alone.AssertNoMoreTensorsThan(before);
    }

    [Theory]
    [InlineData(nameof(Collective.AllReduce))]
    [InlineData(nameof(Collective.ReduceScatter))]
    [InlineData(nameof(Collective.AllGather))]
    [InlineData(nameof(Collective.AllToAll))]
    [InlineData(nameof(Collective.Broadcast))]
    [InlineData(nameof(Collective.Barrier))]
    [InlineData(nameof(Collective.Split))]
    public void Abort_ends_those_who_wait_in(string operation)
    {
        InProcessGroup[] world = InProcessGroup.Create(3, Long);
        long[] counts = [1, 2, 3, 1, 2, 3, 1, 2, 3];
        var one = new CollectiveCase(Enum.Parse<Collective>(operation), ScalarType.Float32, 3, 10, counts, 0, false, 1);
        var watch = Stopwatch.StartNew();
        Exception?[] ends = RankThreads.Run(world, group =>
        {
            group.Activity = $"step {group.Rank}";
            if (group.Rank != 1)
            {
                one.Check(group);
                return;
            }
            Thread.Sleep(20);
            group.Abort(new IOException("the disk is full"));
            group.Abort(new IOException("later"));
        });
        Assert.Null(ends[1]);
        Assert.All(new[] { 0, 2 }, r => AssertCause(ends[r], "rank 1 (step 1) failed: the disk is full"));
        Assert.True(watch.Elapsed < Long / 2, $"{watch.Elapsed}");
    }

    [Fact]
    public void No_tensors_stay_and_nothing_is_recorded()
    {
        Property.Holds(CollectiveCase.Draw(Gen.Const(2), most: 100).Array[100], 1, cases =>
        {
            long before = Alone.SettledTensors();
            RankThreads.Succeed(InProcessGroup.Create(2, Long), group =>
            {
                foreach (CollectiveCase one in cases) one.Check(group);
            });
            Alone.AssertNoMoreTensorsThan(before);
        });
        Tensor[] leaves = [ones(4, requires_grad: true), ones(4, requires_grad: true)];
        RankThreads.Succeed(InProcessGroup.Create(2, Long), group => group.AllReduce(leaves[group.Rank]));
        Assert.All(leaves, leaf => Assert.True(leaf.is_leaf && leaf.detach().eq(2).all().item<bool>()));
    }

    [Fact]
    public void A_group_that_is_disposed_says_so()
    {
        InProcessGroup group = InProcessGroup.Create(1, Long)[0];
        group.Dispose();
        Assert.Throws<ObjectDisposedException>(group.Barrier);
    }

    /// <summary>About 10 us a barrier on two idle cores, so 0.1 s: the bound only rules out a wait that sleeps.</summary>
    [Fact]
    public void Many_barriers_of_more_threads_than_cores_take_no_minute()
    {
        const int rounds = 10_000;
        var watch = Stopwatch.StartNew();
        RankThreads.Succeed(InProcessGroup.Create(4, Long), group =>
        {
            for (int n = 0; n < rounds; n++) group.Barrier();
        });
        TestContext.Current.TestOutputHelper?.WriteLine($"{watch.Elapsed.TotalMicroseconds / rounds:0} us a barrier");
        Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), $"{watch.Elapsed} for {rounds} barriers");
    }

    private static void AssertCause(Exception? end, string message)
    {
        ProcessGroupException e = Assert.IsType<ProcessGroupException>(end);
        Assert.Contains(message, e.Message);
        Assert.Equal("the disk is full", Assert.IsType<IOException>(e.InnerException).Message);
    }
}
