namespace DiffusionGemma;

/// <summary>Data files by their addresses.</summary>
public sealed class DatasetTests
{
    [Theory]
    [InlineData("main/train-*.parquet", "main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet")]
    [InlineData("main", "main/test-00000-of-00001.parquet", "main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet")]
    [InlineData("main/test-00000-of-00001.parquet", "main/test-00000-of-00001.parquet")]
    [InlineData("**/test-*", "main/test-00000-of-00001.parquet", "socratic/test-00000-of-00001.parquet")]
    public async Task FilesFoldersAndPatternsComeInOrder(string path, params string[] files)
    {
        await using LoopbackHub hub = await GsmAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        IReadOnlyList<string> found = await HubRepository.DownloadFilesAsync(HubPath.Parse($"hf://datasets/openai/gsm8k/{path}"),
            hub.Options(home));
        string snapshot = Path.Combine(home.File("hub"), "datasets--openai--gsm8k", "snapshots", ServedRepository.FirstCommit);
        Assert.Equal(files, found.Select(file => Path.GetRelativePath(snapshot, file)));
        Assert.All(found, file => Assert.Equal(hub.Datasets[0].Files[Path.GetRelativePath(snapshot, file)], File.ReadAllBytes(file)));
        Assert.Equal(files.Length, hub.Gets.Count());
        Assert.All(hub.Requests.Where(request => request.Method == "HEAD"), request =>
            Assert.StartsWith("/datasets/openai/gsm8k/resolve/", request.Path));

        hub.Requests.Clear();
        HubOptions offline = hub.Options(home) with { Offline = true };
        Assert.Equal(found, await HubRepository.DownloadFilesAsync(HubPath.Parse($"hf://datasets/openai/gsm8k/{path}"), offline));
        HubPath byCommit = HubPath.Parse($"hf://datasets/openai/gsm8k@{ServedRepository.FirstCommit}/{path}");
        Assert.Equal(found, await HubRepository.DownloadFilesAsync(byCommit, hub.Options(home)));
        Assert.Empty(hub.Requests);
    }

    [Theory]
    [InlineData("main/tran-*.parquet", "")]
    [InlineData("mian", "Did you mean 'main'?")]
    [InlineData("main/test-00000-of-00001.parqet", "Did you mean 'main/test-00000-of-00001.parquet'?")]
    public async Task APatternThatMatchesNothingIsAnError(string path, string hint)
    {
        await using LoopbackHub hub = await GsmAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFilesAsync(HubPath.Parse($"hf://datasets/openai/gsm8k/{path}"), hub.Options(home)));
        Assert.Equal(HubError.FileNotFound, error.Error);
        Assert.Contains(path, error.Message);
        Assert.EndsWith(hint, error.Message);
    }

    [Fact]
    public async Task OfflineWithoutAListingAnIncompleteSetOfShardsIsSeen()
    {
        await using LoopbackHub hub = await GsmAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubPath train = HubPath.Parse("hf://datasets/openai/gsm8k/main/train-*.parquet");
        IReadOnlyList<string> found = await HubRepository.DownloadFilesAsync(train, hub.Options(home));
        Directory.Delete(Path.Combine(home.File("hub"), "datasets--openai--gsm8k", "trees"), recursive: true);
        HubOptions offline = hub.Options(home) with { Offline = true };
        Assert.Equal(found, await HubRepository.DownloadFilesAsync(train, offline));
        File.Delete(found[1]);
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFilesAsync(train, offline));
        Assert.Equal(HubError.Offline, error.Error);
        Assert.Contains("main/train-*-of-00002.parquet", error.Message);
        await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFilesAsync(HubPath.Parse("hf://datasets/openai/gsm8k/none"),
            offline));
    }

    [Fact]
    public async Task AModelsFilesHaveAddressesToo()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        Assert.EndsWith("notes.txt", Assert.Single(await HubRepository.DownloadFilesAsync(HubPath.Parse("hf://org/tiny/folder"),
            hub.Options(home))));
    }

    private static async Task<LoopbackHub> GsmAsync()
    {
        LoopbackHub hub = await LoopbackHub.StartAsync();
        var data = new ServedRepository { Id = "openai/gsm8k" };
        data.Add("README.md", "# GSM8K\n");
        data.AddLarge("main/test-00000-of-00001.parquet", 3000, seed: 1);
        data.AddLarge("main/train-00000-of-00002.parquet", 4000, seed: 2);
        data.AddLarge("main/train-00001-of-00002.parquet", 5000, seed: 3);
        data.AddLarge("socratic/test-00000-of-00001.parquet", 6000, seed: 4);
        hub.Datasets.Add(data);
        return hub;
    }
}
