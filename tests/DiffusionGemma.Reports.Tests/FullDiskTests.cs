namespace DiffusionGemma;

/// <summary>Every writer of a run's report on a disk that is full, and on one that is read-only.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public void Writers_name_what_failed_and_leave_what_was_there() =>
        SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(FullDiskTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        string disk = SmallDisk.Here, folder = Path.Combine(disk, "report"), whole = Path.Combine(disk, "whole");
        StepRecord[] steps = [.. Enumerable.Range(0, 300).Select(step => Histories.Step(step, 1.0 / (step + 1)))];
        EvaluationRecord[] evaluations =
            [new() { Step = 1, DiffusionLoss = 2, EncoderLoss = 3, DiffusionLossByNoise = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }];
        Dictionary<string, Action<string>> writers = new()
        {
            ["history.csv"] = steps.SaveCsv,
            ["history.parquet"] = steps.SaveParquet,
            ["evaluations.csv"] = evaluations.SaveCsv,
            ["evaluations.parquet"] = evaluations.SaveParquet,
            ["curves.png"] = path => steps.Plot(path, evaluations),
            ["curves.svg"] = path => steps.Plot(path, evaluations),
        };
        foreach ((string name, Action<string> write) in writers) write(Path.Combine(folder, name));
        string[] before = Listing();
        byte[][] bytes = [.. before.Where(File.Exists).Select(File.ReadAllBytes)];

        string ballast = SmallDisk.Fill();
        Fails("No space left");
        ReportFails("No space left");
        File.Delete(ballast);
        if (Directory.Exists(whole)) Directory.Delete(whole, recursive: true);
        Assert.Equal(before, Listing());
        SmallDisk.MakeReadOnly();
        Fails("Read-only file system");
        Assert.Equal(before, Listing());
        Assert.Equal(bytes, before.Where(File.Exists).Select(File.ReadAllBytes));
        ReportFails("Read-only file system");
        Assert.Equal(before, Listing());
        SmallDisk.Passed();

        string[] Listing() => [.. Directory.EnumerateFileSystemEntries(disk, "*", SearchOption.AllDirectories).Order()];

        // A report of a run says so, once, and the run goes on; all its files asked for at once are an error.
        void ReportFails(string said)
        {
            List<string> notices = [];
            using var report = new RunReport(whole, new RunReportOptions { Notices = new Listener<string>(notices.Add) });
            report.Attach(new FineTuneOptions());
            foreach (StepRecord step in steps.Take(20))
            {
                report.History.Add(step);
                report.Report(step);
            }
            string notice = Assert.Single(notices);
            Assert.True(notice.Contains(whole, StringComparison.Ordinal), notice);
            Assert.True(notice.Contains(said, StringComparison.Ordinal), notice);
            var error = Assert.ThrowsAny<IOException>(report.Write);
            Assert.True(error.Message.Contains(whole, StringComparison.Ordinal), $"{error}");
            Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{error}");
        }

        void Fails(string said)
        {
            foreach ((string name, Action<string> write) in writers)
            {
                string path = Path.Combine(folder, name);
                var error = Assert.ThrowsAny<IOException>(() => write(path));
                Assert.True(error.Message.Contains(path, StringComparison.Ordinal), $"{name}: {error}");
                Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{name}: {said} is not in: {error}");
            }
        }
    }
}
