using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Training as one of several processes. Losses go to a file for each rank, because long lines of several ranks are mixed up.
/// </summary>
internal static class TrainingScenario
{
    /// <summary>Trains the twenty steps of a reference: fixture, "full" or "lora", dtype, and the folder for losses.</summary>
    public static string Fixture(string name, string kind, string dtype, string losses)
    {
        var fixture = new TrainingFixture(name);
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), CPU, Enum.Parse<ScalarType>(dtype));
        using FineTuneResult result =
            fixture.Train(model, kind,
            fixture.Options with { Parallel = fixture.Options.Parallel with { CollectiveTimeout = TimeSpan.FromMinutes(10) } });
        model.Adapter = null;
        return Keep(result, losses);
    }

    /// <summary>
    /// Trains fully from a folder into another, cancelled after some steps; can be resumed by another number of processes, or by the same
    /// once more.
    /// </summary>
    public static string Folder(string output, string checkpoints, string steps, bool again)
    {
        FineTuneOptions options = TinyRows.Options with
        {
            Run = TinyRows.Options.Run with { MicroBatchSize = 1, Precision = ScalarType.Float64 },
            OutputFolder = output,
            Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = TimeSpan.FromMinutes(10) },
            WarmupSteps = 0,
            Checkpoints = new RunCheckpointOptions { Folder = checkpoints, EverySteps = 100, Resume = RunCheckpointOptions.Latest },
        };
        int last = int.Parse(steps, CultureInfo.InvariantCulture);
        using var stop = new CancellationTokenSource();
        var stopper = new StopAfter(last, stop);
        try
        {
            string folder = Fixtures.Checkpoint("tiny-2layer");
            using FineTuneResult result = FineTuner.Fit(folder, TinyRows.Make(24), options, stopper, stop.Token);
            return Keep(result, Path.GetDirectoryName(output)!);
        }
        catch (OperationCanceledException)
        {
            return again ? Folder(output, checkpoints, "1000", again: false) : "cancelled";
        }
    }

    /// <summary>
    /// Trains ten steps in this process alone, with so many threads, workers and ranks, and answers a prompt with tiny-chat.
    /// </summary>
    /// <returns>The losses, and the ids of the answer.</returns>
    public static string Alone(string threads, string workers, string ranks, string dtype)
    {
        int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
        set_num_threads(Number(threads));
        FineTuneOptions options = TinyRows.Options with
        {
            Devices = Device.Cpu(Number(ranks)),
            GlobalBatchSize = 8,
            Parallel = TinyRows.Options.Parallel with { Workers = Number(ranks) == 1 ? Number(workers) : null },
        };
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, Enum.Parse<ScalarType>(dtype));
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options);
        model.Adapter = null;
        using var chat = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-chat"), CPU, Enum.Parse<ScalarType>(dtype));
        int[] prompt = [2, .. Enumerable.Range(100, 20)];
        int[] answer = CanvasGenerator.Generate(chat, [prompt], new GenerationOptions { MaxNewTokens = 64, Seed = 1 })[0].Ids;
        string losses = string.Join(' ', result.History.Select(r => r.Loss.ToString("R", CultureInfo.InvariantCulture)));
        return $"{losses} | {string.Join(' ', answer)}";
    }

    /// <summary>Rank 1 fails, or is killed, in the middle of a step.</summary>
    public static string Fault(string kind)
    {
        int calls = 0;
        FineTuneOptions options = TinyRows.Options with
        {
            Run = TinyRows.Options.Run with { MicroBatchSize = 1 },
            Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = TimeSpan.FromMinutes(10) },
        };
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"));
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options, group => new Relayed(group, name =>
        {
            if (group.Rank != 1 || name != nameof(IProcessGroup.AllToAll) || ++calls < 100) return;
            if (kind == "killed") System.Diagnostics.Process.GetCurrentProcess().Kill();
            throw new ProcessGroupException("a fault of rank 1");
        }));
        return "finished";
    }

    private static string Keep(FineTuneResult result, string folder)
    {
        IEnumerable<string> losses = result.History.Select(r => r.Loss.ToString("R", CultureInfo.InvariantCulture));
        File.WriteAllText(Path.Combine(folder, $"{TrainingProcesses.Rank}.losses"), string.Join(' ', losses));
        return "trained";
    }

    private sealed class StopAfter(int steps, CancellationTokenSource stop) : IProgress<StepRecord>
    {
        public void Report(StepRecord record)
        {
            if (record.Step + 1 == steps) stop.Cancel();
        }
    }
}
