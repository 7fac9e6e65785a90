using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TorchSharp;

namespace DiffusionGemma.Benchmarks;

/// <summary>Training on some CPU ranks, one thread each, in a process of its own.</summary>
/// <param name="Kind">full or lora.</param>
/// <param name="Ranks">Ranks.</param>
/// <param name="Quick">The small shape.</param>
/// <param name="Float64">In place of float32.</param>
internal sealed record ParallelCase(string Kind, int Ranks, bool Quick, bool Float64 = false)
{
    public const string Command = "parallel-one";

    /// <summary>Rows of a step, whatever the ranks; a row a micro-batch.</summary>
    public const int RowsPerStep = 4;

    private const int Steps = 4;

    public FineTuneOptions Options => new()
    {
        Lora = Kind == "lora" ? new LoraOptions() : null, GlobalBatchSize = RowsPerStep, WarmupSteps = 1,
        Run = new() { Shuffle = false, DryRun = false }, Devices = torch.Device.Cpu(Ranks),
    };

    public static ParallelCase Parse(string[] a) => new(
        a[0], int.Parse(a[1], CultureInfo.InvariantCulture), bool.Parse(a[2]), bool.Parse(a[3]));

    /// <summary>Runs it in a process that does nothing else.</summary>
    public ParallelMeasure InOwnProcess()
    {
        BenchmarkShape.Checkpoint(Quick);
        string[] arguments = [Command, Kind, Ranks.ToString(CultureInfo.InvariantCulture), Quick.ToString(), Float64.ToString()];
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{string.Join(' ', arguments)} failed.");
        var measure = JsonSerializer.Deserialize<ParallelMeasure>(output)!;
        Figure.Note($"{Kind}, {Ranks} ranks: {output.Trim()}");
        return measure;
    }

    /// <summary>The child's part.</summary>
    public ParallelMeasure Measure()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        torch.set_num_threads(1);
        torch.ScalarType dtype = Float64 ? torch.ScalarType.Float64 : torch.ScalarType.Float32;
        using var model = DiffusionGemmaModel.Load(BenchmarkShape.Checkpoint(Quick), dtype: dtype);
        IReadOnlyList<TrainingExample> rows = BenchmarkShape.Rows(RowsPerStep * Steps, model.Config);
        List<ObservedCollective>[] logs = [.. Enumerable.Range(0, Ranks).Select(_ => new List<ObservedCollective>())];
        var ends = new List<(long Time, TimeSpan Processor)>();
        var progress = new ImmediateProgress<StepRecord>(_ => ends.Add((Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime)));
        using FineTuneResult result = FineTuner.Fit(model, rows, Options, group => new ObservedGroup(group, logs[group.Rank]), progress);
        model.Adapter = null;
        // The first step is a warm-up. One rank alone has no group, and no collective.
        (long from, long to) = (ends[0].Time, ends[^1].Time);
        double inside = logs.Average(log => log.Sum(c => (double)Math.Max(0, Math.Min(c.End, to) - Math.Max(c.Start, from))));
        return new ParallelMeasure(
            [.. result.History.Skip(1).Select(s => s.Seconds)], [.. result.History.Skip(1).Select(s => s.Loss)], inside / (to - from),
            (ends[^1].Processor - ends[0].Processor).TotalSeconds / (Steps - 1));
    }
}

/// <summary>Figures of one case, of every step but the first.</summary>
/// <param name="Seconds">Of each step.</param>
/// <param name="Losses">Of each step.</param>
/// <param name="CollectiveShare">The part of a rank's time that it is inside collectives, waiting for others included; the mean over
/// ranks.</param>
/// <param name="ProcessorSeconds">Processor time of a step, of all ranks together.</param>
internal sealed record ParallelMeasure(double[] Seconds, double[] Losses, double CollectiveShare, double ProcessorSeconds)
{
    /// <summary>The better of two runs, step by step: steps differ in their draws, and other programs only ever take time away.</summary>
    public ParallelMeasure Best(ParallelMeasure other)
    {
        ParallelMeasure faster = Seconds.Sum() <= other.Seconds.Sum() ? this : other;
        return faster with
        {
            Seconds = [.. Seconds.Zip(other.Seconds, Math.Min)],
            ProcessorSeconds = Math.Min(ProcessorSeconds, other.ProcessorSeconds),
        };
    }
}
