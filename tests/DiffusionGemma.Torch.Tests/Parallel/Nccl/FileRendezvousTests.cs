namespace DiffusionGemma;

public sealed class FileRendezvousTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5), Short = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task All_ranks_get_the_bytes_and_the_file_goes()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string shared = folder.File("run");
        byte[] bytes = [.. Enumerable.Range(0, 128).Select(i => (byte)(3 * i))];
        Task<byte[]>[] ranks = [.. Enumerable.Range(1, 3).Select(rank => Task.Run(() => FileRendezvous.Fetch(shared, rank, Long)))];
        using (FileRendezvous.Publish(shared, bytes))
            foreach (Task<byte[]> rank in ranks) Assert.Equal(bytes, await rank);
        Assert.Empty(Directory.EnumerateFileSystemEntries(shared));
        using (FileRendezvous.Publish(shared, bytes)) Assert.Single(Directory.EnumerateFiles(shared));
    }

    [Fact]
    public void A_file_of_another_run_is_refused_and_stays()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using IDisposable first = FileRendezvous.Publish(folder.Path, [1, 2]);
        string message = Assert.Throws<ProcessGroupException>(() => FileRendezvous.Publish(folder.Path, [3])).Message;
        Assert.Contains("another run", message, StringComparison.Ordinal);
        Assert.Contains(FileRendezvous.Variable, message, StringComparison.Ordinal);
        Assert.Equal([1, 2], FileRendezvous.Fetch(folder.Path, 1, Short));
        Assert.Single(Directory.EnumerateFiles(folder.Path));
    }

    [Fact]
    public void A_rank_that_finds_no_file_says_where_it_looked()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string message = Assert.Throws<ProcessGroupException>(() => FileRendezvous.Fetch(folder.File("none"), 2, Short)).Message;
        Assert.Contains("Rank 2 found no", message, StringComparison.Ordinal);
        Assert.Contains(folder.File("none"), message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_an_error_of_rank_0()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("file"), "");
        string message = Assert.Throws<ProcessGroupException>(() => FileRendezvous.Publish(folder.File("file"), [1])).Message;
        Assert.Contains("Rank 0 cannot write to", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Under_mpirun_the_id_goes_by_MPI()
    {
        MpiRun run = MpiRun.Start(3, "unique id");
        Assert.True(run.Job.Exit == 0, run.Job.ToString());
        for (int rank = 0; rank < 3; rank++) Assert.Equal("0 255 7", run.Of(rank));
    }
}
