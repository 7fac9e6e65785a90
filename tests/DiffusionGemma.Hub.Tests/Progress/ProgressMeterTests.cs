namespace DiffusionGemma;

public sealed class ProgressMeterTests
{
    [Fact]
    public void TheRateIsThatOfTheLastTenSecondsAndCountsOnlyWhatCame()
    {
        var clock = new StepClock();
        var progress = new ProgressList();
        var meter = new ProgressMeter(progress, clock);
        meter.Begin(files: 1, totalFiles: 3, bytes: 1000, totalBytes: 101_000);
        for (int second = 0; second < 30; second++)
        {
            clock.Seconds++;
            meter.Receive(100);
        }
        Assert.Equal(100, progress.Reports[^1].BytesPerSecond, 1e-9);
        for (int second = 0; second < 20; second++)
        {
            clock.Seconds++;
            meter.Receive(1000);
        }
        HubProgress last = progress.Reports[^1];
        Assert.Equal(1000, last.BytesPerSecond, 1e-9);
        Assert.Equal(24_000, last.Bytes);
        Assert.Equal(TimeSpan.FromSeconds(77), last.TimeLeft);
        meter.Adjust(-4000);
        meter.Finish();
        Assert.Equal((20_000L, 2), (progress.Reports[^1].Bytes, progress.Reports[^1].Files));
    }

    [Fact]
    public void ItReportsAFewTimesASecondAtMost()
    {
        var clock = new StepClock();
        var progress = new ProgressList();
        var meter = new ProgressMeter(progress, clock);
        meter.Begin(0, 1, 0, 1_000_000);
        for (int n = 0; n < 1000; n++)
        {
            clock.Seconds += 0.001;
            meter.Receive(10);
        }
        Assert.InRange(progress.Reports.Length, 4, 6);
        meter.Notify("A word.");
        Assert.Equal("A word.", progress.Reports[^1].Notice);
        Assert.Equal(10_000, progress.Reports[^1].Bytes);
    }

    private sealed class StepClock : TimeProvider
    {
        public double Seconds { get; set; }

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => (long)(Seconds * 1_000_000);
    }
}
