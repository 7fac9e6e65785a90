using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Two writers of one folder at once: one of them is refused by name, and the folder is never a mixture of both.</summary>
public sealed class TwoWritersTests : TorchTest
{
    [Fact]
    public void A_second_writer_is_refused_while_the_first_writes()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1);
        using TemporaryFolder folder = Fixtures.Temporary();
        adapter.Save(folder.Path, "the first");
        string[] before = Listing(folder);
        using (new FolderUpdate(folder.Path))
        {
            string[] during = Listing(folder);
            var error = Assert.Throws<AdapterException>(() => adapter.Save(folder.Path, "the second"));
            Assert.StartsWith(folder.Path, error.Message, StringComparison.Ordinal);
            Assert.Contains("another process is writing to", error.Message, StringComparison.Ordinal);
            Assert.Contains("another process is writing to", Assert.Throws<CheckpointException>(() => model.Save(folder.Path)).Message,
                StringComparison.Ordinal);
            Assert.Equal(during, Listing(folder));
        }
        Assert.Equal(before, Listing(folder));

        // What a killed writer left is in nobody's way, and is taken away; not the only copy of a file that was there.
        string left = folder.File(".saving-killed"), replacing = folder.File(".saving-replacing");
        foreach (string hidden in (string[])[left, replacing])
        {
            Directory.CreateDirectory(Path.Combine(hidden, "old"));
            File.WriteAllText(Path.Combine(hidden, "lock"), "");
        }
        File.WriteAllText(Path.Combine(replacing, "old", "adapter_config.json"), "{}");
        adapter.Save(folder.Path, "the third");
        LoraAdapter.Load(folder.Path, model).Dispose();
        Assert.Equal([replacing], Directory.GetDirectories(folder.Path, ".saving-*"));
    }

    [Fact]
    public async Task Writers_that_begin_at_once_leave_one_or_the_other()
    {
        const int Times = 40;
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        using TemporaryFolder folder = Fixtures.Temporary();
        LoraAdapter[] adapters = [.. new[] { 2, 3 }.Select(rank => LoraAdapter.Create(model, new LoraOptions { Rank = rank }, seed: 1))];
        int saved = 0, refused = 0;
        await Task.WhenAll(adapters.Select(adapter => Task.Run(() =>
        {
            for (int n = 0; n < Times; n++)
                try
                {
                    adapter.Save(folder.Path, "base");
                    Interlocked.Increment(ref saved);
                }
                catch (AdapterException error)
                {
                    Assert.Contains("another process is writing to", error.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref refused);
                }
        })));
        TestContext.Current.TestOutputHelper?.WriteLine($"{saved} saved, {refused} refused");
        Assert.Equal(adapters.Length * Times, saved + refused);
        Assert.True(saved > 0);
        using (LoraAdapter loaded = LoraAdapter.Load(folder.Path, model)) Assert.Contains(loaded.Rank, new[] { 2, 3 });
        Assert.Equal(["SHA256SUMS", "adapter_config.json", "adapter_model.safetensors"], Listing(folder));
        foreach (LoraAdapter adapter in adapters) adapter.Dispose();
    }

    private static string[] Listing(TemporaryFolder folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder.Path).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
}
