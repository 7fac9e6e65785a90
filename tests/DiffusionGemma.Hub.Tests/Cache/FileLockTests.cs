using System.Diagnostics;

namespace DiffusionGemma;

public sealed class FileLockTests
{
    [Fact]
    public async Task OneWaitsForAnother()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File(Path.Combine("locks", "a.lock"));
        FileLock first = await FileLock.TakeAsync(path, () => Assert.Fail("Nobody held it."), default);
        var waiting = new TaskCompletionSource();
        Task<FileLock> second = FileLock.TakeAsync(path, waiting.SetResult, default);
        await waiting.Task;
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second).Dispose();
        Assert.True(File.Exists(path));
    }

    [Fact]
    public async Task AWaitCanBeCancelled()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        using FileLock first = await FileLock.TakeAsync(folder.File("a.lock"), () => { }, default);
        using var cancellation = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            FileLock.TakeAsync(folder.File("a.lock"), cancellation.Cancel, cancellation.Token));
    }

    [Fact]
    public async Task ItIsTheFlockThatOtherProgramsTake()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "flock is of Unix.");
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("a.lock");
        using (await FileLock.TakeAsync(path, () => { }, default))
            Assert.Equal(1, Flock(path).ExitCode);
        Assert.Equal(0, Flock(path).ExitCode);
    }

    private static Process Flock(string path)
    {
        try
        {
            Process process = Process.Start("flock", ["--nonblock", path, "true"]);
            process.WaitForExit();
            return process;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no flock program (util-linux).");
            throw;
        }
    }
}
