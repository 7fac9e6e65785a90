namespace DiffusionGemma;

/// <summary>Every writer of reports on a disk that is full, and on one that is read-only.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public void Writers_fail_and_leave_what_was_there() => SmallDisk.Run(nameof(Child_on_a_small_disk), nameof(FullDiskTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public void Child_on_a_small_disk()
    {
        StepRecord[] history = Histories.Falling(40);
        Dictionary<string, Action<string>> writers = new()
        {
            ["curves.png"] = path => history.Plot(path), ["curves.svg"] = path => history.Plot(path),
            ["history.csv"] = path => history.SaveCsv(path), ["history.parquet"] = path => history.SaveParquet(path),
        };
        string disk = SmallDisk.Here;
        foreach ((string name, Action<string> write) in writers) write(Path.Combine(disk, name));
        string[] before = [.. Directory.EnumerateFiles(disk).Order()];
        byte[][] bytes = [.. before.Select(File.ReadAllBytes)];
        history = Histories.Falling(60);                                    // not the same bytes
        string ballast = SmallDisk.Fill();
        Fail();
        File.Delete(ballast);
        Unchanged();
        SmallDisk.MakeReadOnly();
        Fail();
        Unchanged();
        SmallDisk.Passed();

        void Fail()
        {
            foreach ((string name, Action<string> write) in writers) Assert.ThrowsAny<IOException>(() => write(Path.Combine(disk, name)));
        }

        void Unchanged()
        {
            Assert.Equal(before, Directory.EnumerateFiles(disk).Order());
            Assert.Equal(bytes, before.Select(File.ReadAllBytes));
        }
    }
}
