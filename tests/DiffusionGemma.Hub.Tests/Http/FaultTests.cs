namespace DiffusionGemma;

/// <summary>A no of the Hub becomes an error that says the way out.</summary>
public sealed class FaultTests
{
    [Theory]
    [InlineData(401, LoopbackHub.Token)]
    [InlineData(403, LoopbackHub.Token)]
    [InlineData(401, "")]
    public async Task AGatedRepositoryAsksForTheLicenceAndAToken(int status, string token)
    {
        await using LoopbackHub hub = await FailingAsync(status, "GatedRepo", "Access to model org/tiny is restricted.");
        HubException error = await FaultAsync(hub, "org/tiny", token);
        Assert.Equal(HubError.Gated, error.Error);
        Assert.Contains($"accept its conditions on {hub.Endpoint.AbsoluteUri}org/tiny", error.Message);
        Assert.Contains("Access to model org/tiny is restricted", error.Message);
        Assert.Contains(token.Length == 0 ? "HF_TOKEN" : "the account that the token belongs to", error.Message);
        Assert.Single(hub.Requests);
    }

    [Theory]
    [InlineData(401)]
    [InlineData(404)]
    public async Task AMissingRepositoryNamesBothReadingsAndWhatIsNear(int status)
    {
        await using LoopbackHub hub = await FailingAsync(status, "RepoNotFound", "Repository not found");
        using TemporaryFolder home = Fixtures.Temporary();
        Directory.CreateDirectory(Path.Combine(home.File("hub"), "models--org--tiny"));
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tinny", hub.Options(home)));
        Assert.Equal(HubError.RepositoryNotFound, error.Error);
        Assert.Contains($"no folder {Path.GetFullPath("org/tinny")}", error.Message);
        Assert.Contains($"no model 'org/tinny' on {hub.Endpoint.Authority}", error.Message);
        Assert.Contains("Did you mean 'org/tiny'?", error.Message);
        Assert.Contains("private", error.Message);
    }

    [Fact]
    public async Task AMissingDataSetIsNoMissingFolder()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFilesAsync(HubPath.Parse("hf://datasets/org/none/x"), hub.Options(home)));
        Assert.Equal(HubError.RepositoryNotFound, error.Error);
        Assert.StartsWith("No data set 'org/none' on ", error.Message);
    }

    [Fact]
    public async Task AMissingRevisionAndAMissingFileAreToldApart()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        HubException error = await FaultAsync(hub, "org/tiny@v9");
        Assert.Equal(HubError.RevisionNotFound, error.Error);
        Assert.Contains("'v9'", error.Message);
        error = await FaultAsync(hub, $"org/tiny@{new string('a', 40)}");
        Assert.Equal(HubError.RevisionNotFound, error.Error);

        using TemporaryFolder home = Fixtures.Temporary();
        error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "folder/none.json", hub.Options(home)));
        Assert.Equal(HubError.FileNotFound, error.Error);
        Assert.Contains("folder/none.json", error.Message);
        Assert.True(File.Exists(Path.Combine(home.File("hub"), "models--org--tiny", ".no_exist", ServedRepository.FirstCommit, "folder",
            "none.json")));
    }

    [Theory]
    [InlineData(401, LoopbackHub.Token, "wrong or has expired")]
    [InlineData(401, "", "HF_TOKEN")]
    [InlineData(403, LoopbackHub.Token, "lacks the right")]
    public async Task ARefusedTokenIsSaid(int status, string token, string said)
    {
        await using LoopbackHub hub = await FailingAsync(status, "", "Invalid credentials");
        HubException error = await FaultAsync(hub, "org/tiny", token);
        Assert.Equal(HubError.Unauthorized, error.Error);
        Assert.Contains(said, error.Message);
    }

    [Theory]
    [InlineData("<html>Sign in to the hotel's network</html>")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"sha":"../../../etc"}""")]
    [InlineData("""{"sha":17}""")]
    [InlineData("""{"sha":"\ud800"}""")]                                                        // half a surrogate pair
    [InlineData("""{"\ud800":1,"sha":"x"}""")]
    [InlineData("""{"sha":"0123456789012345678901234567890123456789","id":"\udc00"}""")]
    public async Task AnAnswerThatNoHubGivesIsRefused(string body)
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        hub.Intercept = async (context, request) =>
        {
            await context.Response.Body.WriteAsync(System.Text.Encoding.UTF8.GetBytes(body));
            return true;
        };
        HubException error = await FaultAsync(hub, "org/tiny");
        Assert.Equal(HubError.Refused, error.Error);
        Assert.Contains("proxy", error.Message);
        Assert.Single(hub.Requests);
    }

    [Theory]
    [InlineData("../../evil")]
    [InlineData("/etc/evil")]
    [InlineData("a\\..\\..\\evil")]
    [InlineData("C:/evil")]
    [InlineData("a\0b")]
    public async Task AListingWithAnUnsafeNameWritesNothing(string name)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Add(name, "evil");
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", hub.Options(home)));
        Assert.Equal(HubError.Refused, error.Error);
        Assert.Empty(Directory.EnumerateFileSystemEntries(home.Path));
        await Assert.ThrowsAsync<ArgumentException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), name, hub.Options(home)));
    }

    [Theory]
    [InlineData("../../evil")]
    [InlineData("a/b")]
    [InlineData("..")]
    public async Task AnEntityTagThatIsAPathIsRefused(string tag)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Tiny.Tags["config.json"] = tag;
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", hub.Options(home)));
        Assert.Equal(HubError.Refused, error.Error);
        Assert.DoesNotContain(Directory.EnumerateFiles(home.Path, "*", SearchOption.AllDirectories), path => path.Contains("evil"));
    }

    [Fact]
    public async Task ATextThatIsNeitherFolderNorIdNamesBothForms()
    {
        ArgumentException error = await Assert.ThrowsAsync<ArgumentException>(() => HubRepository.DownloadAsync("no/such/folder"));
        Assert.Contains("neither a folder", error.Message);
        Assert.Contains("org/name@revision", error.Message);
    }

    private static async Task<LoopbackHub> FailingAsync(int status, string code, string message)
    {
        LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, _) =>
        {
            LoopbackHub.Fail(context, status, code, message);
            return Task.FromResult(true);
        };
        return hub;
    }

    private static async Task<HubException> FaultAsync(LoopbackHub hub, string id, string token = LoopbackHub.Token)
    {
        using TemporaryFolder home = Fixtures.Temporary();
        return await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync(id, hub.Options(home) with { Token = token }));
    }
}
