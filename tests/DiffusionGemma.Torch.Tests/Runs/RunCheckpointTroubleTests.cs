using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Damage to a run's folder between two runs, and how the next run deals with it.</summary>
public class RunCheckpointTroubleTests : TorchTest
{
    private static readonly FineTuneOptions Options = TinyRows.Options with { Lora = new LoraOptions { Rank = 2 } };
    private static readonly double[] Undisturbed = Losses(null);

    [Fact]
    public void A_second_run_on_the_folder_is_refused_and_the_first_goes_on()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string? refused = null;
        double[] losses = Losses(Every(folder, 2), record =>
        {
            if (record.Step == 3)
                refused =
                    Assert.Throws<TrainingException>(() => Losses(Every(folder, 2) with { Resume = RunCheckpointOptions.Latest })).Message;
        });
        Assert.Contains($"{folder.Path} is in use by another run", refused, StringComparison.Ordinal);
        Assert.Equal(Undisturbed, losses);
        // the lock went with the first
        Assert.Equal(Undisturbed, Losses(Every(folder, 2) with { Resume = RunCheckpointOptions.Latest }));
    }

    /// <summary>A checkpoint with any file cut at any length is passed over for the one before, reported and renamed.</summary>
    [Theory]
    [InlineData("state.safetensors", 0.0)]
    [InlineData("state.safetensors", 0.5)]
    [InlineData("state.safetensors", 0.99999)]
    [InlineData("state.json", 0.0)]
    [InlineData("state.json", 0.5)]
    [InlineData("state.safetensors", null)]
    [InlineData("state.json", null)]
    public void A_truncated_checkpoint_is_passed_over_for_the_one_before_it(string file, double? kept)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 3) with { Keep = 3 });
        Assert.Equal(["step-000006", "step-000009", "step-000010"], Names(folder));
        foreach (string name in new[] { "step-000009", "step-000010" })
        {
            string path = Path.Combine(folder.File(name), file);
            byte[] whole = File.ReadAllBytes(path);
            File.Delete(path);
            if (kept is double part) File.WriteAllBytes(path, whole[..(int)(part * whole.Length)]);
        }
        var notices = new List<string>();
        Assert.Equal(Undisturbed, Losses(Every(folder, 3) with { Resume = RunCheckpointOptions.Latest, Keep = 3 }, notices: notices));
        Assert.Contains(notices,
            n => n.Contains("step-000010 cannot be resumed: it is damaged", StringComparison.Ordinal)
            && n.Contains("An older checkpoint takes its place", StringComparison.Ordinal));
        Assert.Contains(notices, n => n.Contains("step-000009 cannot be resumed", StringComparison.Ordinal));
        Assert.Contains(notices, n =>
            n.StartsWith("Resumed from", StringComparison.Ordinal) && n.Contains("after 6 steps", StringComparison.Ordinal));
        Assert.Equal(["step-000006", "step-000009", "step-000010"], Names(folder));
        Assert.Equal(["aside-step-000009", "aside-step-000010"], Names(folder, "aside-*"));
        // those written anew are whole
        Assert.Equal(Undisturbed, Losses(Every(folder, 3) with { Resume = RunCheckpointOptions.Latest }));
    }

    /// <summary>One bit of any file, which leaves it as readable as it was.</summary>
    [Theory]
    [InlineData("state.safetensors")]
    [InlineData("state.json")]
    [InlineData("SHA256SUMS")]
    public void A_checkpoint_with_a_flipped_byte_is_passed_over_for_the_one_before_it(string file)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 3) with { Keep = 3 });
        string path = Path.Combine(folder.File("step-000010"), file);
        byte[] bytes = File.ReadAllBytes(path);
        int at = file == "state.safetensors" ? bytes.Length - 5 : Array.FindIndex(bytes, one => char.IsAsciiDigit((char)one));
        bytes[at] ^= 1;
        File.WriteAllBytes(path, bytes);
        var notices = new List<string>();
        Assert.Equal(Undisturbed, Losses(Every(folder, 3) with { Resume = RunCheckpointOptions.Latest, Keep = 3 }, notices: notices));
        Assert.Contains(notices, n => n.Contains("step-000010 cannot be resumed: it is damaged", StringComparison.Ordinal)
            && n.Contains("SHA256SUMS", StringComparison.Ordinal));
        Assert.Contains(notices, n => n.Contains("after 9 steps", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_none_is_whole_the_run_does_not_start_over_in_silence()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 5));
        foreach (string name in Names(folder)) File.WriteAllText(Path.Combine(folder.File(name), "state.json"), "{");
        string message =
            Assert.Throws<TrainingException>(() => Losses(Every(folder, 5) with { Resume = RunCheckpointOptions.Latest })).Message;
        Assert.Contains("step-000010 cannot be resumed: it is damaged", message, StringComparison.Ordinal);
        Assert.Contains("No other checkpoint", message, StringComparison.Ordinal);
        Assert.Equal(["step-000005", "step-000010"], Names(folder));
    }

    [Fact]
    public void An_earlier_checkpoint_is_resumed_by_path_or_name_and_those_after_it_are_set_aside()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 3) with { Keep = 9 });
        Assert.Equal(Undisturbed, Losses(Every(folder, 3) with { Keep = 9, Resume = "step-000006" }));
        Assert.Equal(["aside-step-000009", "aside-step-000010"], Names(folder, "aside-*"));
        Assert.Equal(
            Undisturbed, Losses(Every(folder, 3) with { Keep = 9, Resume = folder.File("step-000003") + Path.DirectorySeparatorChar }));
        Assert.Equal(5, Names(folder, "aside-*").Length);                                       // 6, and 9 and 10 once more
        Assert.Equal(["step-000003", "step-000006", "step-000009", "step-000010"], Names(folder));

        // A branch with another rate goes on from its own checkpoints, not from those of the branch it left.
        RunCheckpointOptions branch = Every(folder, 3) with { Keep = 9, Resume = "step-000006", AcceptChanged = ["LearningRate"] };
        FineTuneOptions other = Options with { LearningRate = 1e-3 };
        double[] first = Losses(branch, options: other),
            again = Losses(branch with { Resume = RunCheckpointOptions.Latest }, options: other);
        Assert.Equal(first, again);
        Assert.Equal(Undisturbed[..7], first[..7]);                                             // step 6 still has step 5's weights
        Assert.NotEqual(Undisturbed[7..], first[7..]);
    }

    [Fact]
    public void A_run_is_resumed_into_a_folder_of_its_own()
    {
        using TemporaryFolder from = Fixtures.Temporary(), to = Fixtures.Temporary();
        Losses(Every(from, 4));
        Assert.Equal(Undisturbed, Losses(Every(to, 4) with { Resume = from.File("step-000008") }));
        Assert.Equal(["step-000008", "step-000010"], Names(from));
        Assert.Equal(["step-000008", "step-000010"], Names(to));
        string message = Assert.Throws<TrainingException>(() => Losses(Every(to, 4) with { Resume = from.File("step-000008") })).Message;
        Assert.Contains("holds checkpoints of its own (step-000010, step-000008)", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_of_another_model_is_refused()
    {
        using TemporaryFolder folder = Fixtures.Temporary(), copy = Fixtures.Temporary();
        Losses(Every(folder, 5));
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-2layer")))
            File.Copy(file, copy.File(Path.GetFileName(file)));
        using (var other = Load())
        {
            using (no_grad()) other.Stack.Parameters["model.decoder.norm.weight"].add_(0.5);
            other.Changed.Add("model.decoder.norm.weight");
            other.Save(copy.File("other"));
        }
        using var model = DiffusionGemmaModel.Load(copy.File("other"), TestDevice.Current, ScalarType.Float32);
        string message = Assert.Throws<TrainingException>(
            () => FineTuner.Fit(model, TinyRows.Make(24),
                Options with { Checkpoints = Every(folder, 5) with { Resume = RunCheckpointOptions.Latest } })).Message;
        Assert.Contains("Checkpoint was ", message, StringComparison.Ordinal);
        Assert.Null(model.Adapter);
    }

    [Fact]
    public void Every_change_is_named_at_once_and_a_name_that_is_no_option_is_an_error()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 5));
        RunCheckpointOptions resume = Every(folder, 5) with { Resume = RunCheckpointOptions.Latest };
        FineTuneOptions changed =
            Options with { Seed = 7, Optimizer = Options.Optimizer with { Beta1 = 0.9 }, Lora = new LoraOptions { Rank = 2, Alpha = 5 } };
        string message = Assert.Throws<TrainingException>(() => Losses(resume, options: changed)).Message;
        Assert.Contains("Beta1 was 0.95 and is 0.9 now; ", message, StringComparison.Ordinal);
        Assert.Contains("Lora was rank 2, alpha 32, dropout 0 on ", message, StringComparison.Ordinal);
        Assert.Contains("Seed was 42 and is 7 now", message, StringComparison.Ordinal);
        Assert.Contains("'Sead'",
            Assert.Throws<TrainingException>(() => Losses(resume with { AcceptChanged = ["Sead"] }, options: changed)).Message,
            StringComparison.Ordinal);
        Assert.Equal(10, Losses(resume with { AcceptChanged = ["Seed", "Beta1", "Lora"] }, options: changed).Length);
    }

    [Fact]
    public void A_folder_deleted_meanwhile_is_made_again()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        double[] losses = Losses(Every(folder, 2), record =>
        {
            if (record.Step == 4) Directory.Delete(folder.Path, recursive: true);
        });
        Assert.Equal(Undisturbed, losses);
        Assert.Equal(["step-000008", "step-000010"], Names(folder));
    }

    [Fact]
    public void A_folder_that_can_no_longer_be_written_to_ends_no_run_but_a_cancelled_one()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string run = folder.File("run");
        void Spoil(StepRecord record)
        {
            if (record.Step != 4) return;
            Directory.Delete(run, recursive: true);
            File.WriteAllText(run, "");
        }
        var notices = new List<string>();
        RunCheckpointOptions checkpoints = new() { Folder = run, EverySteps = 2 };
        Assert.Equal(Undisturbed, Losses(checkpoints, Spoil, notices));
        Assert.Equal(3, notices.Count);                                                         // steps 6, 8 and 10
        Assert.All(notices, n => Assert.Contains("The run goes on without it", n, StringComparison.Ordinal));

        File.Delete(run);
        using var cancel = new CancellationTokenSource();
        string message = Assert.Throws<TrainingException>(() => Losses(checkpoints, record =>
        {
            Spoil(record);
            if (record.Step == 4) cancel.Cancel();
        }, cancellation: cancel.Token)).Message;
        Assert.Contains("the run's checkpoint cannot be written", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_to_is_found_out_before_the_first_step()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("file"), "");
        string message =
            Assert.Throws<TrainingException>(() => Losses(new() { Folder = folder.File("file") }, _ => Assert.Fail("it trained"))).Message;
        Assert.Contains("cannot hold the run's checkpoints", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disk_that_fills_up_costs_no_checkpoint_and_no_step() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(RunCheckpointTroubleTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        string disk = SmallDisk.Here;
        string run = Path.Combine(disk, "run"), ballast = Path.Combine(disk, "ballast");
        var notices = new List<string>();
        RunCheckpointOptions checkpoints = new() { Folder = run, EverySteps = 2, Keep = 9 };
        double[] losses = Losses(checkpoints, record =>
        {
            if (record.Step == 4) File.WriteAllBytes(ballast, new byte[new DriveInfo(disk).AvailableFreeSpace - 16 * 1024]);
            if (record.Step == 8) File.Delete(ballast);
        }, notices);
        Assert.Equal(Undisturbed, losses);
        Assert.Equal(2, notices.Count);
        Assert.All(notices, n => Assert.Contains("No space left", n, StringComparison.Ordinal));
        // not even half a one
        Assert.Equal(
            ["step-000002", "step-000004", "step-000010"], Directory.EnumerateDirectories(run).Select(d => Path.GetFileName(d)!).Order());
        Assert.Equal(Undisturbed, Losses(checkpoints with { Resume = "step-000004" }));

        // A read-only one is found out before the first step.
        string[] before = [.. Directory.EnumerateFileSystemEntries(disk, "*", SearchOption.AllDirectories).Order()];
        SmallDisk.MakeReadOnly();
        string message = Assert.Throws<TrainingException>(
            () => Losses(checkpoints with { Resume = RunCheckpointOptions.Latest }, _ => Assert.Fail("it trained"))).Message;
        Assert.Contains(run, message, StringComparison.Ordinal);
        Assert.Contains("Read-only file system", message, StringComparison.Ordinal);
        Assert.Equal(before, Directory.EnumerateFileSystemEntries(disk, "*", SearchOption.AllDirectories).Order());
        SmallDisk.Passed();
    }

    [Fact]
    public void Another_number_of_threads_is_said()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Losses(Every(folder, 5));
        string state = Path.Combine(folder.File("step-000010"), "state.json");
        File.WriteAllText(state, File.ReadAllText(state).Replace("\"Threads\": 1", "\"Threads\": 8", StringComparison.Ordinal));
        File.Delete(Path.Combine(Path.GetDirectoryName(state)!, Checksums.FileName));            // as of an earlier version
        var notices = new List<string>();
        Losses(Every(folder, 5) with { Resume = RunCheckpointOptions.Latest }, notices: notices);
        Assert.Contains(notices, n => n.Contains("The run was on 8 threads and is on 1 now", StringComparison.Ordinal));
    }

    private static RunCheckpointOptions Every(TemporaryFolder folder, int steps) => new() { Folder = folder.Path, EverySteps = steps };

    private static string[] Names(TemporaryFolder folder, string pattern = "step-*") =>
        [.. Directory.EnumerateDirectories(folder.Path, pattern).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    private static DiffusionGemmaModel Load() =>
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);

    private static double[] Losses(
        RunCheckpointOptions? checkpoints, Action<StepRecord>? told = null, List<string>? notices = null, FineTuneOptions? options = null,
        CancellationToken cancellation = default)
    {
        set_num_threads(1);
        using DiffusionGemmaModel model = Load();
        FineTuneOptions all = (options ?? Options) with
        {
            Checkpoints = checkpoints,
            Run = (options ?? Options).Run with { Notices = notices is null ? null : new ImmediateProgress<string>(notices.Add) }
        };
        using FineTuneResult result =
            FineTuner.Fit(model, TinyRows.Make(24), all, told is null ? null : new ImmediateProgress<StepRecord>(told), cancellation);
        if (notices is not null) Assert.Equal(notices, result.Notices);
        model.Adapter = null;
        return [.. result.History.Select(h => h.Loss)];
    }
}
