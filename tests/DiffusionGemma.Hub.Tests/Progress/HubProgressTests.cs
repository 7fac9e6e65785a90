namespace DiffusionGemma;

public sealed class HubProgressTests
{
    [Fact]
    public void ALineHasFilesBytesRateAndTimeLeft()
    {
        var progress = new HubProgress
        {
            Files = 3, TotalFiles = 14, Bytes = 12_100_000_000, TotalBytes = 51_600_000_000,
            BytesPerSecond = 94_000_000
        };
        Assert.Equal("3 of 14 files, 12.1 of 51.6 GB, 94.0 MB/s, 00:07:01 left", progress.ToString());
        Assert.Equal("Waiting. (3 of 14 files, 12.1 of 51.6 GB)", (progress with { BytesPerSecond = 0, Notice = "Waiting." }).ToString());
        Assert.Equal(TimeSpan.Zero, (progress with { Bytes = progress.TotalBytes, BytesPerSecond = 0 }).TimeLeft);
        Assert.Null((progress with { BytesPerSecond = 0 }).TimeLeft);
        Assert.NotNull((progress with { BytesPerSecond = double.Epsilon }).TimeLeft);
    }
}
