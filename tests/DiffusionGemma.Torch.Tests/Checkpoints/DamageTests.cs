namespace DiffusionGemma;

/// <summary>A flipped byte in what this library wrote is found, and named, when it is loaded.</summary>
public sealed class DamageTests : TorchTest
{
    [Theory]
    [InlineData("adapter_model.safetensors")]
    [InlineData("adapter_config.json")]
    public void A_flipped_byte_of_an_adapter_is_found_at_load(string file)
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = Fixtures.Temporary();
        using (LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1)) adapter.Save(folder.Path, "base");
        byte[] whole = File.ReadAllBytes(folder.File(file));
        var random = new Random(11);
        for (int n = 0; n < 20; n++)
        {
            byte[] damaged = [.. whole];
            damaged[random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(folder.File(file), damaged);
            var error = Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder.Path, model));
            Assert.StartsWith($"{folder.Path} holds {file} with other bytes", error.Message, StringComparison.Ordinal);
        }
        File.WriteAllBytes(folder.File(file), whole);
        LoraAdapter.Load(folder.Path, model).Dispose();
    }

    /// <summary>PEFT's folders have no digests, and neither have those whose SHA256SUMS was deleted.</summary>
    [Fact]
    public void An_adapter_without_digests_is_taken_as_it_is()
    {
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using TemporaryFolder folder = Fixtures.Temporary();
        using (LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1)) adapter.Save(folder.Path, "base");
        string config = folder.File("adapter_config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"base\"", "\"another\"", StringComparison.Ordinal));
        Assert.Throws<AdapterException>(() => LoraAdapter.Load(folder.Path, model));
        File.Delete(folder.File(Checksums.FileName));
        LoraAdapter.Load(folder.Path, model).Dispose();
    }

    [Fact]
    public void Every_byte_of_a_saved_checkpoint_is_compared_where_that_is_asked_for()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using (DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"))) model.Save(folder.Path);
        DiffusionGemmaModel.Load(folder.Path, verify: true).Dispose();
        Flip(folder.File("model.safetensors"), new FileInfo(folder.File("model.safetensors")).Length - 7);
        DiffusionGemmaModel.Load(folder.Path).Dispose();                                         // its header and lengths are right
        var error = Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path, verify: true));
        Assert.Contains("holds model.safetensors with other bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_with_nothing_to_compare_with_is_not_verified_in_silence()
    {
        using TemporaryFolder folder = Copy(Fixtures.Checkpoint("tiny-2layer"));
        var error = Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path, verify: true));
        Assert.Contains("sha256sum * > SHA256SUMS", error.Message, StringComparison.Ordinal);
        // As sha256sum --binary writes it.
        string[] lines = [.. Directory.GetFiles(folder.Path).Select(path => $"{Checksums.Digest(path)} *{Path.GetFileName(path)}")];
        File.WriteAllLines(folder.File(Checksums.FileName), lines);
        DiffusionGemmaModel.Load(folder.Path, verify: true).Dispose();
    }

    /// <summary>The Hub's cache names a large file's blob by its digest.</summary>
    [Fact]
    public void A_file_of_the_Hub_s_cache_is_compared_with_the_name_of_its_blob()
    {
        using TemporaryFolder folder = Copy(Fixtures.Checkpoint("tiny-2layer")), blobs = Fixtures.Temporary("blobs");
        string path = folder.File("model.safetensors"), blob = blobs.File(Checksums.Digest(path));
        File.Move(path, blob);
        File.CreateSymbolicLink(path, blob);
        DiffusionGemmaModel.Load(folder.Path, verify: true).Dispose();
        Flip(blob, new FileInfo(blob).Length - 7);
        var error = Assert.Throws<CheckpointException>(() => DiffusionGemmaModel.Load(folder.Path, verify: true));
        Assert.Contains("other bytes than the Hub's digest", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../config.json")]
    [InlineData("/etc/passwd")]
    [InlineData("a/b")]
    [InlineData("a\\b")]
    [InlineData("")]
    public void A_name_of_SHA256SUMS_that_leads_elsewhere_is_damage(string name)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File(Checksums.FileName), $"{new string('0', 64)}  {name}\n");
        Assert.Contains("no digest and name of a file beside it", Checksums.FindDamage(folder.Path), StringComparison.Ordinal);
    }

    private static TemporaryFolder Copy(string source)
    {
        TemporaryFolder folder = Fixtures.Temporary();
        foreach (string path in Directory.GetFiles(source)) File.Copy(path, folder.File(Path.GetFileName(path)));
        return folder;
    }

    private static void Flip(string path, long at)
    {
        using FileStream stream = File.Open(path, FileMode.Open, FileAccess.ReadWrite);
        stream.Position = at;
        int one = stream.ReadByte();
        stream.Position = at;
        stream.WriteByte((byte)(one ^ 0x10));
    }
}
