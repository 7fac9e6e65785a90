using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A recipe whose folder is on a disk that fills up before the trained model is written.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public void A_run_names_what_failed_and_leaves_no_half_model() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(FullDiskTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        string output = Path.Combine(SmallDisk.Here, "out"), model = Path.Combine(output, FineTuneRecipe.ModelFileName);
        using var folder = new RecipeFolder();
        FineTuneRecipe recipe = folder.Load(
            RecipeText.Lora().ForTinyChat(folder.Rows, output).Without("dataset.chat_template"), "--step_scheduler.max_steps", "2",
            "--step_scheduler.ckpt_every_steps", "1", "--peft.dim", "2");
        Directory.CreateDirectory(output);
        File.WriteAllText(model, "an earlier one");
        string ballast = "";
        var ml = new MLContext(seed: 1);
        var error = Assert.ThrowsAny<IOException>(() => recipe.Fit(ml, new Filling(() => ballast = SmallDisk.Fill())).Dispose());
        Assert.True(error.Message.Contains(output, StringComparison.Ordinal), $"{output} is not in: {error}");
        Assert.True(error.Message.Contains("No space left", StringComparison.Ordinal), $"{error}");
        Assert.Equal("an earlier one", File.ReadAllText(model));
        Assert.Empty(Directory.EnumerateFiles(output, "*.tmp"));
        Assert.False(Directory.Exists(Path.Combine(output, FineTuneRecipe.AdapterFolderName)));

        // With room again, the same call ends what was begun.
        File.Delete(ballast);
        using (RecipeRun run = recipe.Fit(ml))
        {
            Assert.Equal(2, run.History.Count);
            Assert.Equal(model, run.ModelFile);
        }

        // Conversations are written whole or not at all.
        string conversations = Path.Combine(SmallDisk.Here, "rows.jsonl");
        string questions = Path.Combine(Fixtures.Root, "datasets", "gsm8k", "test.parquet");
        ballast = SmallDisk.Fill();
        Fails("No space left");
        File.Delete(ballast);
        string[] before = [.. Directory.EnumerateFileSystemEntries(SmallDisk.Here, "*", SearchOption.AllDirectories).Order()];
        byte[] saved = File.ReadAllBytes(model);
        SmallDisk.MakeReadOnly();
        Fails("Read-only file system");
        Exception refused = Assert.ThrowsAny<Exception>(() => recipe.Fit(ml).Dispose());
        Assert.True(refused.Message.Contains(output, StringComparison.Ordinal), $"{refused}");
        Assert.True(refused.Message.Contains("Read-only file system", StringComparison.Ordinal), $"{refused}");
        Assert.Equal(before, Directory.EnumerateFileSystemEntries(SmallDisk.Here, "*", SearchOption.AllDirectories).Order());
        Assert.Equal(saved, File.ReadAllBytes(model));
        SmallDisk.Passed();

        void Fails(string said)
        {
            var failed = Assert.ThrowsAny<IOException>(() => Gsm8k.WriteConversations(ml, conversations, questions));
            Assert.True(failed.Message.Contains(conversations, StringComparison.Ordinal), $"{failed}");
            Assert.True(failed.Message.Contains(said, StringComparison.Ordinal), $"{failed}");
            Assert.Empty(Directory.EnumerateFiles(SmallDisk.Here, "rows.jsonl*"));
        }
    }

    /// <summary>Fills the disk up after the last step.</summary>
    private sealed class Filling(Action fill) : IProgress<StepRecord>
    {
        public void Report(StepRecord value)
        {
            if (value.Step == 1) fill();
        }
    }
}
