using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Every writer of folders on a disk that is full, and on one that is read-only.</summary>
public sealed class FullDiskTests : TorchTest
{
    [Fact]
    public void Writers_name_what_failed_and_leave_what_was_there() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(FullDiskTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        string disk = SmallDisk.Here;
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 }, seed: 1);
        string adapters = Path.Combine(disk, "adapter"), weights = Path.Combine(disk, "weights"), rounded = Path.Combine(disk, "rounded");
        adapter.Save(adapters, "the base");
        model.Save(weights);
        string[] before = [.. Directory.EnumerateFileSystemEntries(disk, "*", SearchOption.AllDirectories).Order()];
        byte[][] bytes = [.. before.Where(File.Exists).Select(File.ReadAllBytes)];
        string ballast = SmallDisk.Fill();
        Fails("No space left");
        File.Delete(ballast);
        Unchanged();

        SmallDisk.MakeReadOnly();
        Fails("Read-only file system");
        Unchanged();
        SmallDisk.Passed();

        void Fails(string said)
        {
            Named(Assert.Throws<AdapterException>(() => adapter.Save(adapters, "the base")), adapters);
            Named(Assert.Throws<CheckpointException>(() => model.Save(weights)), weights);
            Named(Assert.Throws<CheckpointException>(() => adapter.SaveMerged(model, rounded)), rounded);
            Named(Assert.Throws<CheckpointException>(
                () => QuantizedCheckpoint.Create(Fixtures.Checkpoint("tiny-chat"), rounded, Quantization.Int8)), rounded);

            void Named(Exception error, string path)
            {
                Assert.Contains(path, error.Message, StringComparison.Ordinal);
                Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{said} is not in: {error}");
            }
        }

        void Unchanged()
        {
            Assert.Equal(before, Directory.EnumerateFileSystemEntries(disk, "*", SearchOption.AllDirectories).Order());
            Assert.Equal(bytes, before.Where(File.Exists).Select(File.ReadAllBytes));
        }
    }
}
