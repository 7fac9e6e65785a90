using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Training as one of several processes. Losses go to a file a rank: what ranks print of some length gets mixed up.</summary>
internal static class TrainingScenario
{
    /// <summary>A reference's twenty steps: fixture, "full" or "lora", dtype, and the folder for losses.</summary>
    public static string Fixture(string name, string kind, string dtype, string losses)
    {
        var fixture = new TrainingFixture(name);
        using var model = DiffusionGemmaModel.Load(Fixtures.Checkpoint(fixture.CheckpointName), CPU, Enum.Parse<ScalarType>(dtype));
        using FineTuneResult result = fixture.Train(model, kind, fixture.Options with { Parallel = fixture.Options.Parallel with { CollectiveTimeout = TimeSpan.FromSeconds(30) } });
        model.Adapter = null;
        return Keep(result, losses);
    }

    /// <summary>From a folder, in full, into another, cancelled after some steps; resumable, by another number of processes or by the same once more.</summary>
    public static string Folder(string output, string checkpoints, string steps, bool again)
    {
        FineTuneOptions options = TinyRows.Options with
        {
            Run = TinyRows.Options.Run with { MicroBatchSize = 1, Precision = ScalarType.Float64 }, OutputFolder = output,
            Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = TimeSpan.FromSeconds(30) }, WarmupSteps = 0,
            Checkpoints = new RunCheckpointOptions { Folder = checkpoints, EverySteps = 100, Resume = RunCheckpointOptions.Latest },
        };
        int last = int.Parse(steps, CultureInfo.InvariantCulture);
        using var stop = new CancellationTokenSource();
        var stopper = new StopAfter(last, stop);
        try
        {
            using FineTuneResult result = FineTuner.Fit(Fixtures.Checkpoint("tiny-2layer"), TinyRows.Make(24), options, stopper, stop.Token);
            return Keep(result, Path.GetDirectoryName(output)!);
        }
        catch (OperationCanceledException)
        {
            return again ? Folder(output, checkpoints, "1000", again: false) : "cancelled";
        }
    }

    /// <summary>Rank 1 fails, or is killed, in the middle of a step.</summary>
    public static string Fault(string kind)
    {
        int calls = 0;
        FineTuneOptions options = TinyRows.Options with
        {
            Run = TinyRows.Options.Run with { MicroBatchSize = 1 },
            Parallel = TinyRows.Options.Parallel with { CollectiveTimeout = TimeSpan.FromSeconds(30) },
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
        File.WriteAllText(Path.Combine(folder, $"{TrainingProcesses.Rank}.losses"), string.Join(' ', result.History.Select(r => r.Loss.ToString("R", CultureInfo.InvariantCulture))));
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
