using System.Text.Json.Nodes;
using DiffusionGemma.Events;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Reports of real runs: short ones, stopped and resumed.</summary>
public sealed class RunReportTests
{
    private const int CanvasLength = 32;

    [Fact]
    public void A_run_that_is_cancelled_and_resumed_has_one_report_of_all_its_steps()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string reports = folder.File("report");
        using (var first = new RunReport(reports, new RunReportOptions { EverySteps = 1 }))
            Assert.Throws<OperationCanceledException>(() => Fit(folder, first, stopAfter: 2));
        Assert.Equal(2 + 1, File.ReadAllLines(Path.Combine(reports, "history.csv")).Length);

        var evaluated = new List<int>();
        using (var second = new RunReport(reports))
        {
            using FineTuneResult result = Fit(folder, second, evaluated: evaluated);
            Assert.Equal((4, 4), (second.History.Count, second.History.TotalSteps));
        }

        Assert.Equal([4], evaluated);
        Assert.Equal(["0", "1", "2", "3"], File.ReadAllLines(Path.Combine(reports, "history.csv"))[1..].Select(line => line.Split(',')[0]));
        string events = Path.Combine(reports, "tensorboard");
        Assert.Equal([1L, 2, 3, 4], LossSteps(events));
        Assert.Equal([1L, 2], LossSteps(Path.Combine(events, "earlier-1")));
        Assert.Equal(
            ["curves.png", "curves.svg", "evaluations.csv", "evaluations.parquet", "history.csv", "history.parquet", "options.json"],
            Directory.GetFiles(reports).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        JsonObject options = JsonNode.Parse(File.ReadAllText(Path.Combine(reports, "options.json")))!.AsObject();
        Assert.Equal(4, (int)options["MaxSteps"]!);
        Assert.Equal("cpu", (string?)options["Devices"]![0]);
        Assert.Contains("Evaluation.EverySteps", options);
        Assert.Contains("Optimizer.WeightDecay", options);
        Assert.DoesNotContain("Evaluation.Examples", options);
        Assert.True(new Picture(Path.Combine(reports, "curves.png")).Count(panel: 0, Picture.IsBlue) > 100);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_ends_no_run_and_is_told_once()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("taken"), "a file, no folder");
        var told = new List<string>();
        var options = new RunReportOptions { EverySteps = 1, Notices = new Listener<string>(told.Add) };
        using var report = new RunReport(folder.File("taken"), options);
        using FineTuneResult result = Fit(folder, report);

        Assert.Equal(4, result.History.Count);
        Assert.Contains("The run goes on.", Assert.Single(told));
        Assert.ThrowsAny<IOException>(report.Write);
    }

    [Fact]
    public void Answers_are_lines_and_files_of_an_earlier_run_go()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string report = folder.File("report"), answers = Path.Combine(report, "answers.jsonl");
        static EvaluationAnswer Read(EvaluationAnswer answer) =>
            answer with { Prompt = "<b>\n", Expected = "5", Response = $"\"{answer.Row}\"", IsMatch = answer.Row == 1 };
        using (var first = new RunReport(report)) Fit(folder, first, answers: 2, read: Read).Dispose();
        Assert.Equal(
            [
                """{"step":4,"row":0,"prompt":"<b>\n","expected":"5","response":"\"0\"","isMatch":false}""",
                """{"step":4,"row":1,"prompt":"<b>\n","expected":"5","response":"\"1\"","isMatch":true}""",
            ],
            File.ReadAllLines(answers));

        Directory.Delete(folder.File("run"), recursive: true);
        using (var without = new RunReport(report, new RunReportOptions { EverySteps = 1 }))
            Assert.Throws<OperationCanceledException>(() => Fit(folder, without, stopAfter: 2).Dispose());
        Assert.False(File.Exists(answers));
        Assert.False(File.Exists(Path.Combine(report, "evaluations.csv")));

        using (var numbers = new RunReport(report)) Fit(folder, numbers, answers: 1).Dispose();
        JsonNode line = JsonNode.Parse(Assert.Single(File.ReadAllLines(answers)))!;
        Assert.Equal(Example(0).InputIds[..8], line["promptIds"]!.AsArray().Select(id => (int)id!));
        Assert.NotEmpty(line["responseIds"]!.AsArray());
    }

    [Fact]
    public void A_run_that_took_no_step_leaves_no_report()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        new RunReport(folder.File("report")).Dispose();

        Assert.False(Directory.Exists(folder.File("report")));
    }

    [Fact]
    public void A_report_is_disposed_of_twice_and_not_used_afterwards()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        var report = new RunReport(folder.File("report"));
        using (FineTuneResult result = Fit(folder, report))
        {
            report.Dispose();
            DateTime written = File.GetLastWriteTimeUtc(Path.Combine(report.Folder, "history.csv"));
            report.Dispose();
            Assert.Equal(written, File.GetLastWriteTimeUtc(Path.Combine(report.Folder, "history.csv")));
            Assert.Throws<ObjectDisposedException>(() => report.Report(result.History[0]));
            Assert.Throws<ObjectDisposedException>(() => report.Report(report.History.Evaluations[0]));
            Assert.Throws<ObjectDisposedException>(() => report.Attach(new FineTuneOptions()));
        }
        Assert.Throws<ObjectDisposedException>(report.Write);
        Assert.Equal(4, report.History.Count);                      // what was seen can still be read
    }

    [Fact]
    public void A_thread_with_a_context_of_its_own_writes_too()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        BlockedContext.Run(() => Histories.Falling(20).SaveParquet(folder.File("history.parquet")));
        Assert.True(new FileInfo(folder.File("history.parquet")).Length > 0);
    }

    private static IEnumerable<long> LossSteps(string events) =>
        Scalars.Read(events).Where(scalar => scalar.Tag == "loss/total").Select(scalar => scalar.Step);

    private static FineTuneResult Fit(
        TemporaryFolder folder, RunReport report, int? stopAfter = null, List<int>? evaluated = null, int answers = 0,
        Func<EvaluationAnswer, EvaluationAnswer>? read = null)
    {
        TrainingExample[] rows = [.. Enumerable.Range(0, 8).Select(Example)];
        var options = new FineTuneOptions
        {
            Lora = new LoraOptions { Rank = 2, Alpha = 4 }, MaxSteps = 4, Epochs = 4, GlobalBatchSize = 4, WarmupSteps = 1,
            Devices = [torch.CPU],
            Checkpoints = new RunCheckpointOptions { Folder = folder.File("run"), Resume = RunCheckpointOptions.Latest },
            Evaluation = new EvaluationOptions
            {
                Examples = rows[..2], EverySteps = 4, Answers = answers, ReadAnswer = read,
                Progress = new Listener<EvaluationRecord>(record => evaluated?.Add(record.Step)),
            },
        };
        using var stop = new CancellationTokenSource();
        var progress = new Listener<StepRecord>(step =>
        {
            report.Report(step);
            if (step.Step + 1 == stopAfter) stop.Cancel();
        });
        return FineTuner.Fit(Fixtures.Checkpoint("tiny-chat"), rows, report.Attach(options), progress, stop.Token);
    }

    private static TrainingExample Example(int n)
    {
        const int Prompt = 8;
        int[] ids = [.. Enumerable.Range(0, Prompt + CanvasLength).Select(i => 10 + (n * 7 + i) % 200)];
        return new TrainingExample(ids, [.. ids.Select((_, i) => i >= Prompt)], Prompt, ids.Length);
    }
}
