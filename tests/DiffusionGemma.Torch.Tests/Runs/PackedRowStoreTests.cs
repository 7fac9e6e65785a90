using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

public class PackedRowStoreTests : TorchTest
{
    private static readonly Gen<TrainingExample> Rows = Gen.Select(
        Gen.Int[0, 30].SelectMany(n => Gen.Select(Gen.Int.Array[n], Gen.Bool.Array[n])), Gen.Int, Gen.Int,
        (row, prefix, padded) => new TrainingExample(row.Item1, row.Item2, prefix, padded));

    [Fact]
    public void Rows_come_back_as_they_were_from_memory_and_from_the_file() =>
        Property.Holds(Gen.Select(Rows.Array[0, 40], Gen.Int[0, 8000]), 200, drawn =>
    {
        (TrainingExample[] rows, int limit) = drawn;
        using var store = new PackedRowStore(limit);
        for (int i = 0; i < rows.Length; i++)
        {
            store.Add(rows[i]);
            if (i % 7 == 0) Same(rows[i / 2], store[i / 2]);                                     // reading between writes is allowed
        }
        Assert.Equal(rows.Length, store.Count);
        Assert.Equal(rows.Sum(r => 120 + 5 * r.InputIds.Length) > limit, store.IsSpilled);
        foreach ((TrainingExample row, TrainingExample got) in rows.Zip(store)) Same(row, got);
        Assert.Throws<ArgumentOutOfRangeException>(() => store[rows.Length]);
        Assert.Throws<ArgumentOutOfRangeException>(() => store[-1]);
    });

    [Fact]
    public void A_run_on_spilled_rows_is_the_same_run()
    {
        double[] Losses(IReadOnlyList<TrainingExample> rows)
        {
            using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
            using FineTuneResult result = FineTuner.Fit(model, rows, TinyRows.Options with { Lora = new LoraOptions() });
            model.Adapter = null;
            return [.. result.History.Select(h => h.Loss)];
        }
        using var store = new PackedRowStore(maxBytesInMemory: 0);
        foreach (TrainingExample row in TinyRows.Make(24)) store.Add(row);
        Assert.True(store.IsSpilled);
        Assert.Equal(Losses(TinyRows.Make(24)), Losses(store));
    }

    [Fact]
    public void Threads_read_at_once()
    {
        using PackedRowStore store = Numbered(2000, tokens: 50);
        Parallel.For(0, 20_000, i => Assert.Equal(i * 7 % 2000, store[i * 7 % 2000].InputIds[0]));
    }

    [Fact]
    public void The_file_goes_with_the_store()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using (PackedRowStore store = Numbered(2000, tokens: 200, folder.File("scratch")))
        {
            Assert.True(store.IsSpilled);
            Assert.Equal(7, store[7].InputIds[0]);
            if (OperatingSystem.IsLinux())
            {
                // without a name: a killed process leaves nothing
                Assert.Empty(Directory.EnumerateFileSystemEntries(folder.File("scratch")));
                Assert.NotEmpty(Open(folder.Path));
            }
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.File("scratch")));
        Assert.Empty(Open(folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_to_is_named_with_what_to_do()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("file"), "");
        var error = Assert.Throws<TrainingException>(() => Numbered(100, tokens: 200, folder.File("file"), limit: 1000));
        Assert.Contains(folder.File("file"), error.Message, StringComparison.Ordinal);
        Assert.Contains("scratchFolder", error.Message, StringComparison.Ordinal);
        Assert.Contains("maxBytesInMemory", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_disk_is_named_with_what_to_do_and_nothing_stays() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(PackedRowStoreTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        string disk = SmallDisk.Here;
        var error = Assert.Throws<TrainingException>(() => Numbered(10_000, tokens: 200, disk));
        Assert.Contains("No space left", error.Message, StringComparison.Ordinal);
        Assert.Contains("Make room", error.Message, StringComparison.Ordinal);
        Assert.Empty(Open(disk));
        Assert.True(new DriveInfo(disk).AvailableFreeSpace > 1 << 20);                           // what it took is free again
        SmallDisk.MakeReadOnly();
        error = Assert.Throws<TrainingException>(() => Numbered(10_000, tokens: 200, disk));
        Assert.Contains(disk, error.Message, StringComparison.Ordinal);
        Assert.Contains("Read-only file system", error.Message, StringComparison.Ordinal);
        SmallDisk.Passed();
    }

    internal static PackedRowStore Numbered(int rows, int tokens, string? folder = null, long limit = 1 << 20)
    {
        var store = new PackedRowStore(limit, folder);
        try
        {
            for (int i = 0; i < rows; i++) store.Add(new TrainingExample([i, .. new int[tokens - 1]], new bool[tokens], 0, tokens));
            return store;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>This process's open files below a folder.</summary>
    private static string[] Open(string folder) => !OperatingSystem.IsLinux() ? [] :
        [.. Directory.EnumerateFiles("/proc/self/fd").Select(fd => new FileInfo(fd).LinkTarget ?? "")
            .Where(target => target.StartsWith(folder, StringComparison.Ordinal))];

    private static void Same(TrainingExample expected, TrainingExample got)
    {
        Assert.Equal(expected.InputIds, got.InputIds);
        Assert.Equal(expected.LossMask, got.LossMask);
        Assert.Equal((expected.PrefixLength, expected.PaddedLength), (got.PrefixLength, got.PaddedLength));
    }
}
