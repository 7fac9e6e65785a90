namespace DiffusionGemma;

/// <summary>A cache that the Python client wrote.</summary>
public sealed class SharedCacheTests
{
    private static readonly HubId Tiny = HubId.Parse("org/tiny");

    [Theory]
    [InlineData("/trees/")]                                         // as clients before 2.4 leave it
    [InlineData("CACHEDIR.TAG")]                                    // with a listing, which this test's copy holds no words of
    public async Task ItIsUsedWithoutADownload(string without)
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        new Recording().WriteCache(home.Path, without);
        string[] before = CacheListing.Of(home.File("hub"));
        HubOptions options = hub.Options(home);
        string snapshot = Path.Combine(home.File("hub"), "models--org--tiny", "snapshots", ServedRepository.FirstCommit);

        Assert.True(HubRepository.TryFindCached("org/tiny", out string? folder, options));
        Assert.Equal(snapshot, folder);
        Assert.True(HubRepository.TryFindCached(Tiny.At(ServedRepository.FirstCommit), out folder, options));
        Assert.Equal(snapshot, folder);
        Assert.Equal(snapshot, await HubRepository.DownloadAsync("org/tiny", options with { Offline = true }));
        Assert.Equal(snapshot, await HubRepository.DownloadAsync($"org/tiny@{ServedRepository.FirstCommit}", options));
        Assert.Equal(Path.Combine(snapshot, "config.json"),
            await HubRepository.DownloadFileAsync(Tiny, "config.json", options with { Offline = true }));
        Assert.Empty(hub.Requests);
        Assert.Equal(before, CacheListing.Of(home.File("hub")));
        Assert.Equal(Recording.FileOf("tokenizer.json"), File.ReadAllBytes(Path.Combine(snapshot, "tokenizer.json")));
    }

    [Fact]
    public async Task ABranchIsAskedForAndNothingIsDownloaded()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        var served = new ServedRepository();
        foreach (string file in Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")).Select(path => Path.GetFileName(path)))
            served.Files.Add(file, Recording.FileOf(file));
        served.Large.UnionWith(["model.safetensors", "tokenizer.json"]);
        hub.Models.Add(served);
        using TemporaryFolder home = Fixtures.Temporary();
        new Recording().WriteCache(home.Path, without: "/trees/");
        string[] before = CacheListing.Shared(CacheListing.Of(home.File("hub")));

        await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.All(hub.Requests, request => Assert.StartsWith("/api/models/org/tiny/", request.Path));
        Assert.Equal(2, hub.Requests.Count);
        Assert.Equal(before, CacheListing.Shared(CacheListing.Of(home.File("hub"))));
    }

    [Fact]
    public async Task ASnapshotOfWhichAPartWasAskedForIsCompleted()
    {
        // The recorded cache has only the configuration of org/moved.
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Id = "org/moved";
        using TemporaryFolder home = Fixtures.Temporary();
        new Recording().WriteCache(home.Path, without: "/trees/");
        hub.Models[0].Files["config.json"] = Recording.FileOf("config.json");
        string folder = await HubRepository.DownloadAsync($"org/moved@{ServedRepository.FirstCommit}", hub.Options(home));
        Assert.True(File.Exists(Path.Combine(folder, "model.safetensors")));
        Assert.DoesNotContain(hub.Requests, request => request.Path.EndsWith("config.json"));
    }

    [Fact]
    public async Task ADanglingLinkAndAGapInTheShardsAreSeen()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        new Recording().WriteCache(home.Path, without: "/trees/");
        HubOptions options = hub.Options(home) with { Offline = true };
        string snapshot = Path.Combine(home.File("hub"), "models--org--tiny", "snapshots", ServedRepository.FirstCommit);

        string shard = Path.Combine(snapshot, "model-00001-of-00002.safetensors");
        File.WriteAllText(shard, "");
        Assert.False(HubRepository.TryFindCached(Tiny, out _, options));
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync(Tiny, options));
        Assert.Equal(HubError.Offline, error.Error);
        Assert.Contains("model-*-of-00002.safetensors", error.Message);
        File.Delete(shard);
        Assert.True(HubRepository.TryFindCached(Tiny, out _, options));

        File.ResolveLinkTarget(Path.Combine(snapshot, "tokenizer.json"), true)!.Delete();
        Assert.False(HubRepository.TryFindCached(Tiny, out string? folder, options));
        Assert.Null(folder);
        Assert.Contains("tokenizer.json", (await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync(Tiny, options)))
            .Message);
        Assert.True(HubRepository.TryFindCached(Tiny, out _, options with { Include = ["config.json"] }));
    }
}
