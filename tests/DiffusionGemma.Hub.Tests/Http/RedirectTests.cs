namespace DiffusionGemma;

public sealed class RedirectTests
{
    [Theory]
    [InlineData("file:///etc/passwd", "'file'")]
    [InlineData("ftp://127.0.0.1/x", "'ftp'")]
    [InlineData("data:text/plain,x", "'data'")]
    [InlineData("http://user:password@127.0.0.1/x", "user's name")]
    [InlineData(null, "no address")]
    public async Task OtherSchemesAndNamesInAddressesAreRefused(string? target, string said)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (request.Method != "HEAD") return Task.FromResult(false);
            context.Response.StatusCode = 302;
            if (target is not null) context.Response.Headers.Location = target;
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", hub.Options(home)));
        Assert.Equal(HubError.Refused, error.Error);
        Assert.Contains(said, error.Message);
        Assert.DoesNotContain("password", error.Message);
        Assert.Single(hub.Requests);
    }

    [Fact]
    public void ARedirectFromHttpsToHttpIsRefused() =>
        Assert.Contains("https to http", Assert.Throws<HubException>(() =>
            Origin.Follow(new Uri("https://a.example/x"), "http://a.example/x")).Message);

    [Theory]
    [InlineData("https://a.example/x", "/y", "https://a.example/y", true)]
    [InlineData("https://a.example/x/z", "y", "https://a.example/x/y", true)]
    [InlineData("https://a.example/x", "//b.example/y", "https://b.example/y", false)]
    [InlineData("https://a.example/x", "https://A.example:443/y", "https://a.example/y", true)]
    [InlineData("https://a.example/x", "https://a.example:444/y", "https://a.example:444/y", false)]
    [InlineData("http://a.example/x", "https://a.example/y", "https://a.example/y", false)]
    [InlineData("https://a.example/x", "https://a.example.evil.example/y", "https://a.example.evil.example/y", false)]
    public void TheSameOriginIsSchemeHostAndPort(string from, string target, string to, bool same)
    {
        Uri followed = Origin.Follow(new Uri(from), target);
        Assert.Equal(to, followed.AbsoluteUri);
        Assert.Equal(same, Origin.IsSame(new Uri(from), followed));
    }

    [Fact]
    public async Task ACircleOfRedirectsEnds()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = request.Path;
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", hub.Options(home)));
        Assert.Contains("redirects", error.Message);
        Assert.InRange(hub.Requests.Count, 1, 12);
    }

    [Fact]
    public async Task ARenamedRepositoryIsFollowedWithTheTokenAndItsNewNameIsSaid()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (!request.Path.Contains("org/old-name")) return Task.FromResult(false);
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = request.Path.Replace("org/old-name", "org/tiny");
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        string folder = await HubRepository.DownloadAsync("org/old-name", hub.Options(home), progress);
        Assert.Contains("models--org--old-name", folder);
        Assert.Equal(hub.Tiny.Files["model.safetensors"], File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        Assert.Contains(progress.Notices, notice => notice.Contains("org/old-name was renamed to org/tiny"));
        Assert.All(hub.Requests.Where(request => !request.SecondHost), request => Assert.NotNull(request.Authorization));
    }

    [Fact]
    public async Task TheSecondHostMayRedirectToo()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (!request.SecondHost || request.Path.Contains("again")) return Task.FromResult(false);
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = request.Path.Split('?')[0] + "?again";
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal(2, hub.Gets.Count(request => request.SecondHost));
    }
}
