using System.Diagnostics;
using System.Globalization;

namespace DiffusionGemma;

/// <summary>A run whose process is killed again and again is the run that was never stopped, to the last bit.</summary>
public sealed class KilledRunTests : TorchTest
{
    private const string Folder = "DIFFUSIONGEMMA_KILL_TEST_FOLDER", KillCount = "DIFFUSIONGEMMA_KILLS", Started = "started";
    private const string Hidden = ".run-*";

    /// <summary>Kills of which some must have met each phase.</summary>
    private const int ManyKills = 50;

    /// <summary>Checkpoints that a process may add before it is killed in any phase.</summary>
    private const int MostSteps = 5;

    /// <summary>Phases of a run, by what a kill leaves in its folder.</summary>
    private enum Phase
    {
        /// <summary>The model is loaded and the checkpoint read: no step is done.</summary>
        Start,

        /// <summary>A step is computed: no checkpoint is begun.</summary>
        Step,

        /// <summary>A checkpoint's tensors are written.</summary>
        Tensors,

        /// <summary>Its state is written.</summary>
        State,

        /// <summary>It is whole, and is about to be renamed; or an old one was renamed, to be removed.</summary>
        Rename,
    }

    /// <summary>
    /// A process that writes a checkpoint every step is killed in each phase in turn, as far as another process can aim, and started again
    /// until it is done. Three kills by default; the variable DIFFUSIONGEMMA_KILLS asks for more.
    /// </summary>
    [Fact]
    public async Task Killed_in_each_phase_the_run_is_the_same()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        int steps = 0, killed = 0;
        var met = Enum.GetValues<Phase>().ToDictionary(phase => phase, _ => 0);
        var random = new Random(1);
        // Where a busy machine held this thread up until the run was over, it begins anew; the kills before count.
        for (int started = 0; ; started++)
        {
            Assert.True(started < 2 * Kills + 20, $"{killed} kills in {started} starts");
            File.Delete(folder.File(Started));
            string[] left = Directory.GetDirectories(folder.Path, Hidden);                       // by the kill before
            using Process process = Start(folder, out Task<string> output);
            if (killed < Kills)
            {
                await WaitForAsync((Phase)(killed % met.Count), folder, left, process, steps, random);
                if (!process.HasExited) process.Kill();
            }
            await process.WaitForExitAsync();
            Assert.True(Newest(folder) >= steps, "a checkpoint was lost");
            steps = Newest(folder);
            if (File.Exists(folder.File("losses.txt")))
            {
                if (killed >= Kills) break;
                foreach (string path in Names(folder)) Directory.Delete(folder.File(path), recursive: true);
                File.Delete(folder.File("losses.txt"));
                steps = 0;
                continue;
            }
            Assert.True(killed < Kills, await output);
            met[Seen(folder, left) ?? (File.Exists(folder.File(Started)) ? Phase.Step : Phase.Start)]++;
            killed++;
        }

        string result = $"{killed} kills: {string.Join(", ", met.Select(pair => $"{pair.Key} {pair.Value}"))}";
        TestContext.Current.TestOutputHelper?.WriteLine(result);
        if (Environment.GetEnvironmentVariable(KillCount) is not null) Console.WriteLine(result);
        if (Kills >= ManyKills) Assert.All(met, pair => Assert.True(pair.Value > 0, result));
        Assert.Equal(KillSteps, steps);
        string[] losses = File.ReadAllLines(folder.File("losses.txt"));
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using FineTuneResult whole = FineTuner.Fit(model, TinyRows.Make(24), Options(null));
        Assert.Equal(whole.History.Select(record => record.Loss.ToString("R", CultureInfo.InvariantCulture)), losses);
        model.Adapter = null;
    }

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_that_is_killed()
    {
        string folder = Environment.GetEnvironmentVariable(Folder)
            ?? throw new InvalidOperationException($"{nameof(Killed_in_each_phase_the_run_is_the_same)} starts this test.");
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        var checkpoints = new RunCheckpointOptions { Folder = folder, EverySteps = 1, Resume = RunCheckpointOptions.Latest };
        var first = new ImmediateProgress<StepRecord>(_ => File.WriteAllText(Path.Combine(folder, Started), ""));
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), Options(checkpoints), first);
        string written = Path.Combine(folder, "losses");
        File.WriteAllLines(written, result.History.Select(record => record.Loss.ToString("R", CultureInfo.InvariantCulture)));
        File.Move(written, written + ".txt");
        model.Adapter = null;
    }

    private static int Kills => int.Parse(Environment.GetEnvironmentVariable(KillCount) ?? "3", CultureInfo.InvariantCulture);

    /// <summary>Enough for every kill to meet a run that is still going.</summary>
    private static int KillSteps => 40 + (2 + MostSteps) * Kills;

    private static FineTuneOptions Options(RunCheckpointOptions? checkpoints) =>
        TinyRows.Options with { Lora = new LoraOptions(), MaxSteps = KillSteps, Epochs = 1000, Checkpoints = checkpoints };

    private static Process Start(TemporaryFolder folder, out Task<string> output)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["-explicit", "only", "-method", $"*{nameof(Child_that_is_killed)}"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { [Folder] = folder.Path },
        };
        Process process = Process.Start(start)!;
        output = process.StandardOutput.ReadToEndAsync();
        _ = process.StandardError.ReadToEndAsync();
        return process;
    }

    /// <summary>Waits until a phase is seen, at the process's end or after a few of its steps at the latest.</summary>
    private static async Task WaitForAsync(
        Phase phase, TemporaryFolder folder, string[] left, Process process, int steps, Random random)
    {
        if (phase == Phase.Start)
        {
            await Task.Delay(random.Next(1000));
            return;
        }
        while (Newest(folder) <= steps && !process.HasExited) await Task.Delay(5);
        if (phase == Phase.Step) await Task.Delay(random.Next(40));
        else while (Seen(folder, left) != phase && Newest(folder) < steps + MostSteps && !process.HasExited) Thread.Yield();
    }

    /// <summary>Finds the phase of a checkpoint that is being written or removed; null: there is none.</summary>
    private static Phase? Seen(TemporaryFolder folder, string[] left)
    {
        try
        {
            if (Directory.GetDirectories(folder.Path, Hidden).Except(left).FirstOrDefault() is not { } hidden) return null;
            string[] files = [.. Directory.GetFiles(hidden).Select(Path.GetFileName)!];
            if (files.Contains(Checksums.FileName)) return Phase.Rename;
            return files.Contains("state.json") ? Phase.State : Phase.Tensors;
        }
        catch (DirectoryNotFoundException)
        {
            return null;
        }
    }

    private static int Newest(TemporaryFolder folder) =>
        Names(folder).Select(name => int.Parse(name["step-".Length..], CultureInfo.InvariantCulture)).DefaultIfEmpty(0).Max();

    private static string[] Names(TemporaryFolder folder) =>
        [.. Directory.EnumerateDirectories(folder.Path, "step-*").Select(path => Path.GetFileName(path)!)];
}
