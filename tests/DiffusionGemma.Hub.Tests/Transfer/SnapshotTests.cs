namespace DiffusionGemma;

public sealed class SnapshotTests
{
    [Fact]
    public async Task ASnapshotHasAllFilesAsRelativeLinksToBlobs()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home), progress);
        foreach ((string file, byte[] bytes) in hub.Tiny.Files)
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(folder, file)));
        Assert.Equal($"../../../../blobs/{hub.Tiny.Tag("folder/deeper/notes.txt")}",
            new FileInfo(Path.Combine(folder, "folder", "deeper", "notes.txt")).LinkTarget);
        Assert.Equal(hub.Tiny.Commit, File.ReadAllText(Path.Combine(home.File("hub"), "models--org--tiny", "refs", "main")));
        Assert.DoesNotContain(CacheListing.Of(home.File("hub")), line => line.Contains("incomplete") || line.Contains(".tmp"));

        HubProgress last = progress.Reports[^1];
        long total = hub.Tiny.Files.Values.Sum(bytes => bytes.LongLength);
        Assert.Equal((4, 4, total, total), (last.Files, last.TotalFiles, last.Bytes, last.TotalBytes));
        Assert.All(progress.Reports.Zip(progress.Reports.Skip(1)), pair => Assert.True(pair.First.Bytes <= pair.Second.Bytes));
        Assert.True(HubRepository.TryFindCached("org/tiny", out string? found, hub.Options(home)));
        Assert.Equal(folder, found);
    }

    [Fact]
    public async Task ASecondDownloadAsksForTheBranchAloneAndOneByCommitForNothing()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        hub.Requests.Clear();
        Assert.Equal(folder, await HubRepository.DownloadAsync("org/tiny", hub.Options(home)));
        Assert.Equal("/api/models/org/tiny/revision/main", Assert.Single(hub.Requests).Path);
        hub.Requests.Clear();
        Assert.Equal(folder, await HubRepository.DownloadAsync($"org/tiny@{hub.Tiny.Commit}", hub.Options(home)));
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task ABranchThatMovedOnBringsOnlyWhatChanged()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        string before = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        hub.Tiny.Commit = new string('b', 40);
        hub.Tiny.Files["config.json"] = "{}"u8.ToArray();
        hub.Tiny.Files.Remove("folder/deeper/notes.txt");
        hub.Requests.Clear();
        string after = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal("config.json", Path.GetFileName(Assert.Single(hub.Gets).Path));
        Assert.Equal("{}", File.ReadAllText(Path.Combine(after, "config.json")));
        Assert.False(Directory.Exists(Path.Combine(after, "folder")));
        Assert.Equal("""{"model_type":"tiny"}""", File.ReadAllText(Path.Combine(before, "config.json")));
        Assert.True(HubRepository.TryFindCached("org/tiny", out string? found, hub.Options(home)));
        Assert.Equal(after, found);
    }

    [Fact]
    public async Task ATagIsKeptUnderItsOwnName()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Revisions.Add("refs/pr/1");
        using TemporaryFolder home = Fixtures.Temporary();
        await HubRepository.DownloadAsync("org/tiny@refs/pr/1", hub.Options(home));
        Assert.True(File.Exists(Path.Combine(home.File("hub"), "models--org--tiny", "refs", "refs", "pr", "1")));
        Assert.False(HubRepository.TryFindCached("org/tiny", out _, hub.Options(home)));
        Assert.True(HubRepository.TryFindCached("org/tiny@refs/pr/1", out _, hub.Options(home)));
    }

    [Fact]
    public async Task TheListingMayHavePages()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        for (int i = 0; i < 9; i++) hub.Tiny.Add($"part{i}.txt", $"{i}");
        hub.Tiny.PageSize = 4;
        using TemporaryFolder home = Fixtures.Temporary();
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal(4, hub.Requests.Count(request => request.Path.Contains("/tree/")));
        Assert.Equal(hub.Tiny.Files.Count, Directory.EnumerateFiles(folder, "*",
            new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }).Count());
        Assert.Equal("8", File.ReadAllText(Path.Combine(folder, "part8.txt")));
    }

    [Fact]
    public async Task PagesWithoutAnEndAreRefused()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (request.Path.Contains("/tree/")) context.Response.Headers.Link = $"<{request.Path}>; rel=\"next\"";
            return Task.FromResult(false);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        Assert.Equal(HubError.Refused, (await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home)))).Error);
    }

    [Fact]
    public async Task OnlyTheWantedFilesComeAndTheRestCanFollow()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions some = hub.Options(home) with { Include = ["*.json", "folder"] };
        string folder = await HubRepository.DownloadAsync("org/tiny", some);
        Assert.Equal(["config.json", "folder/deeper/notes.txt"], hub.Gets.Select(request => string.Join('/', request.Path.Split('/')[5..]))
            .Order());
        Assert.False(HubRepository.TryFindCached("org/tiny", out _, hub.Options(home)));
        Assert.True(HubRepository.TryFindCached("org/tiny", out _, some));
        Assert.Equal(HubError.Offline, (await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync($"org/tiny@{hub.Tiny.Commit}", hub.Options(home) with { Offline = true }))).Error);
        await HubRepository.DownloadAsync($"org/tiny@{hub.Tiny.Commit}", hub.Options(home));
        Assert.True(File.Exists(Path.Combine(folder, "model.safetensors")));

        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", some with { Include = ["confg.json"] }));
        Assert.Equal(HubError.FileNotFound, error.Error);
        Assert.Contains("Did you mean 'config.json'?", error.Message);
    }

    [Fact]
    public async Task EmptyAndEqualFilesAreFilesToo()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Add("empty.txt", "");
        hub.Tiny.Add("a/same.txt", "same");
        hub.Tiny.Add("b/same.txt", "same");
        hub.Tiny.Add("with space & ünïcode #1.txt", "odd");
        using TemporaryFolder home = Fixtures.Temporary();
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal("", File.ReadAllText(Path.Combine(folder, "empty.txt")));
        Assert.Equal("same", File.ReadAllText(Path.Combine(folder, "b", "same.txt")));
        Assert.Equal("odd", File.ReadAllText(Path.Combine(folder, "with space & ünïcode #1.txt")));
        Assert.Single(hub.Gets, request => request.Path.EndsWith("same.txt"));
    }

    [Fact]
    public async Task WhereLinksCannotBeMadeTheSnapshotHasTheFilesThemselves()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Add("same.json", """{"model_type":"tiny"}""");
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home) with
        {
            MakeLink = (_, _) =>
            throw new IOException("A required privilege is not held by the client.")
        };
        string folder = await HubRepository.DownloadAsync("org/tiny", options);
        foreach ((string file, byte[] bytes) in hub.Tiny.Files)
        {
            Assert.Null(new FileInfo(Path.Combine(folder, file)).LinkTarget);
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(folder, file)));
        }
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(home.File("hub"), "models--org--tiny", "blobs")));
        hub.Requests.Clear();
        Assert.Equal(folder, await HubRepository.DownloadAsync("org/tiny", options));
        Assert.Single(hub.Requests);
    }

    [Fact]
    public async Task RoomIsLookedForFirst()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { FreeSpace = _ => 1_000_000 }));
        Assert.Equal(HubError.NoSpace, error.Error);
        Assert.Contains("HF_HUB_CACHE", error.Message);
        Assert.Empty(hub.Gets);
        await HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { FreeSpace = _ => null });
        Assert.NotNull(DiskSpace.Free(home.Path));
        Assert.True(DiskSpace.Free(home.Path) > 0);
    }

    [Fact]
    public async Task SeveralFilesComeAtOnceButNoMoreThanAllowed()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        for (int i = 0; i < 6; i++) hub.Tiny.AddLarge($"shard{i}.bin", 10_000, seed: i + 2);
        int now = 0, most = 0;
        var three = new TaskCompletionSource();
        hub.Intercept = async (context, request) =>
        {
            if (!request.SecondHost) return false;
            int count = Interlocked.Increment(ref now);
            if (count >= 3) three.TrySetResult();
            InterlockedMax(ref most, count);
            await three.Task.WaitAsync(TimeSpan.FromMinutes(1));     // none is answered before three are here
            await Task.Delay(50);
            Interlocked.Decrement(ref now);
            return false;
        };
        using TemporaryFolder home = Fixtures.Temporary();
        await HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { MaxConcurrentFiles = 3, Include = ["*.bin"] });
        Assert.Equal(3, most);
    }

    [Fact]
    public async Task ADownloadCanBeCancelledAndTakenUpAgain()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files["model.safetensors"];
        using var cancellation = new CancellationTokenSource();
        hub.Intercept = async (context, request) =>
        {
            if (!request.SecondHost || request.Range is not null) return false;
            context.Response.ContentLength = file.Length;
            await context.Response.Body.WriteAsync(file.AsMemory(0, 1_000_000));
            await context.Response.Body.FlushAsync();
            await hub.PartAsync(1_000_000);
            cancellation.Cancel();
            await Task.Delay(TimeSpan.FromMinutes(1), context.RequestAborted).ContinueWith(_ => { });
            return true;
        };
        using TemporaryFolder home = Fixtures.Temporary();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home), cancellation: cancellation.Token));
        Assert.False(HubRepository.TryFindCached("org/tiny", out _, hub.Options(home)));
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal(file, File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        Assert.Contains(hub.Requests, request => request.SecondHost && request.Range is not null and not "bytes=0-");
    }

    [Fact]
    public async Task OfflineUsesTheCacheAloneAndSaysWhatIsMissing()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions offline = hub.Options(home) with { Offline = true };
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", offline));
        Assert.Equal(HubError.Offline, error.Error);
        Assert.Contains("HF_HUB_OFFLINE", error.Message);
        await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", offline));
        Assert.Empty(hub.Requests);

        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        hub.Requests.Clear();
        Assert.Equal(folder, await HubRepository.DownloadAsync("org/tiny", offline));
        error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tinny", offline));
        Assert.Contains("Did you mean 'org/tiny'?", error.Message);
        File.Delete(Path.Combine(folder, "config.json"));
        error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", offline));
        Assert.StartsWith("config.json of org/tiny", error.Message);
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task AFolderThatIsThereWinsOverAnId()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        string folder = $"org-{Guid.NewGuid():N}/tiny";
        Directory.CreateDirectory(folder);
        try
        {
            Assert.Equal(folder, await HubRepository.DownloadAsync(folder, hub.Options(home)));
            Assert.True(HubRepository.TryFindCached(folder, out string? found, hub.Options(home)));
            Assert.Equal(folder, found);
            Assert.Empty(hub.Requests);
            await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync(HubId.Parse(folder), hub.Options(home)));
            Assert.NotEmpty(hub.Requests);
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);
        }
    }

    private static void InterlockedMax(ref int most, int value)
    {
        for (int seen = Volatile.Read(ref most); value > seen; seen = Volatile.Read(ref most))
            if (Interlocked.CompareExchange(ref most, value, seen) == seen)
                return;
    }
}
