using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Bytes that a rank reads of a checkpoint: its own part, and next to nothing of the others'.</summary>
public class LoadShareTests : TorchTest
{
    /// <summary>Set to anything: the released shape, 52 GB of hole, of which a rank of eight takes 10.6 GB of memory.</summary>
    private const string Large = "DIFFUSIONGEMMA_LARGE";

    [Theory]
    [InlineData(2, ScalarType.Float64)]
    [InlineData(4, ScalarType.Float32)]
    public void A_rank_has_its_own_experts_and_all_else(int ranks, ScalarType dtype)
    {
        string folder = Fixtures.Checkpoint("tiny-2layer");
        using var whole = DiffusionGemmaModel.Load(folder, TestDevice.Current, dtype);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        RankThreads.Succeed(InProcessGroup.Create(ranks, TimeSpan.FromMinutes(5)), group =>
        {
            using DiffusionGemmaModel share = DiffusionGemmaModel.LoadShare(checkpoint, CPU, dtype, group);
            foreach ((string name, Tensor expected) in whole.Stack.Parameters)
            {
                long each = expected.shape[0] / ranks;
                Tensor part = name.Contains(".experts.", StringComparison.Ordinal) ? expected.narrow(0, group.Rank * each, each) : expected;
                Assert.Equal(0, Largest(share.Stack.Parameters[name], part));
            }
        });
    }

    /// <summary>Rank 0 of 8 touches at most 1.2 times its own bytes of the file: what the system has read of it says so.</summary>
    [Fact]
    public void Rank_0_of_8_touches_little_more_than_its_own_bytes()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "What a process has read of a file is asked of Linux.");
        bool isLarge = Environment.GetEnvironmentVariable(Large) is not null;
        using TemporaryFolder folder = Fixtures.Temporary();
        SparseCheckpoint.Write(folder.Path, layers: isLarge ? 30 : 3, vocabulary: isLarge ? 262_144 : 8192);
        string file = folder.File(SafetensorsFile.SingleFileName);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        long before = SparseCheckpoint.BytesInMemory(file);
        using DiffusionGemmaModel share = DiffusionGemmaModel.LoadShare(checkpoint, CPU, ScalarType.BFloat16, new FirstOf(8));
        share.Own(_ => true);                                                                   // what is mapped is read
        long own = share.Stack.Parameters.Values.Sum(p => p.numel() * 2), touched = SparseCheckpoint.BytesInMemory(file) - before,
            all = new FileInfo(file).Length;
        TestContext.Current.SendDiagnosticMessage("{0:N0} of {1:N0} bytes touched, {2:N0} a rank's own", touched, all, own);
        Assert.True(own < all / 3);
        // of very many the system may have let some go again
        Assert.InRange(touched, isLarge ? 0 : (long)(0.98 * own), (long)(1.2 * own));
    }

    private sealed class FirstOf(int size) : Relayed(new SingleRank())
    {
        public override int Size => size;
    }
}
