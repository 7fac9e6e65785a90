namespace DiffusionGemma;

public class CheckpointFingerprintTests
{
    [Theory]
    [InlineData("tiny-2layer")]
    [InlineData("tiny-bf16-sharded")]
    public void It_does_not_depend_on_where_the_folder_lies(string name)
    {
        using TemporaryFolder folder = CheckpointCopies.Of(name);
        File.WriteAllText(folder.File("README.md"), "says nothing of the weights");
        Assert.Equal(CheckpointFingerprint.Compute(Fixtures.Checkpoint(name)), CheckpointFingerprint.Compute(folder.Path));
        Assert.Matches("^[0-9a-f]{64}$", CheckpointFingerprint.Compute(folder.Path));
    }

    [Fact]
    public void Every_small_checkpoint_has_its_own()
    {
        string[] names = ["tiny-2layer", "tiny-6layer", "tiny-nemo", "tiny-bf16-sharded", "tiny-chat"];
        Assert.Equal(5, names.Select(name => CheckpointFingerprint.Compute(Fixtures.Checkpoint(name))).Distinct().Count());
    }

    [Fact]
    public void A_changed_config_or_weight_changes_it()
    {
        string before = CheckpointFingerprint.Compute(Fixtures.Checkpoint("tiny-2layer"));
        using (TemporaryFolder folder = CheckpointCopies.Of("tiny-2layer"))
        {
            File.AppendAllText(folder.File("config.json"), " ");
            Assert.NotEqual(before, CheckpointFingerprint.Compute(folder.Path));
        }
        using (TemporaryFolder folder = CheckpointCopies.With("tiny-2layer", tensors => tensors["model.decoder.norm.weight"][0] = 7f))
            Assert.NotEqual(before, CheckpointFingerprint.Compute(folder.Path));      // below 1 MiB every byte counts
    }

    [Fact]
    public void Above_a_mebibyte_it_samples_the_first_the_last_and_evenly_between()
    {
        using TemporaryFolder folder = CheckpointCopies.Of("tiny-chat");
        string path = folder.File("model.safetensors");
        string before = CheckpointFingerprint.Compute(folder.Path);
        long length = new FileInfo(path).Length;
        Assert.True(length > 2 << 20);
        Assert.NotEqual(before, AfterFlipAt(length - 1));
        using (SafetensorsFile file = SafetensorsFile.Open(path))
            length = file.Tensors.Values.Min(tensor => tensor.Offset);
        Assert.NotEqual(before, AfterFlipAt(length));
        Assert.Equal(before, AfterFlipAt(length + 4096));                     // what it misses, as its documentation says

        string AfterFlipAt(long at)
        {
            byte[] bytes = File.ReadAllBytes(path);
            bytes[at] ^= 1;
            File.WriteAllBytes(path, bytes);
            string changed = CheckpointFingerprint.Compute(folder.Path);
            bytes[at] ^= 1;
            File.WriteAllBytes(path, bytes);
            return changed;
        }
    }

    [Fact]
    public void A_folder_that_is_no_checkpoint_is_refused()
    {
        using TemporaryFolder folder = CheckpointCopies.Of("tiny-2layer");
        File.Delete(folder.File("config.json"));
        Assert.Throws<InvalidConfigurationException>(() => CheckpointFingerprint.Compute(folder.Path));
        File.Delete(folder.File("model.safetensors"));
        Assert.Throws<CheckpointException>(() => CheckpointFingerprint.Compute(folder.Path));
    }
}
