namespace DiffusionGemma;

/// <summary>The token goes to the endpoint alone, and into no message.</summary>
public sealed class TokenTests
{
    [Fact]
    public async Task TheSecondHostNeverGetsIt()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Contains(hub.Requests, request => request.SecondHost);
        Assert.All(hub.Requests, request => Assert.Equal(request.SecondHost ? null : $"Bearer {LoopbackHub.Token}", request.Authorization));
        Assert.DoesNotContain(Directory.EnumerateFiles(home.Path, "*", SearchOption.AllDirectories), HoldsSecret);
    }

    [Fact]
    public async Task TheEndpointDoesNotGetItWhereAnotherHostSendsThere()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (!request.SecondHost) return Task.FromResult(false);
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = $"{hub.Endpoint.AbsoluteUri}org/tiny/resolve/main/config.json";
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "model.safetensors",
            hub.Options(home)));
        HubRequest sent = Assert.Single(hub.Requests, request => request.Method == "GET" && request.Path.EndsWith("config.json"));
        Assert.Null(sent.Authorization);
    }

    [Fact]
    public async Task WithoutATokenNoneIsSent()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        await HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { Token = "" });
        Assert.All(hub.Requests, request => Assert.Null(request.Authorization));
    }

    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(404)]
    [InlineData(418)]
    [InlineData(429)]
    [InlineData(500)]
    public async Task NoExceptionAndNoNoticeHasItEvenIfTheServerRepeatsIt(int status)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            LoopbackHub.Fail(context, status, "Odd", $"Your header was Bearer {LoopbackHub.Token} or "
                + $"{LoopbackHub.Token.ToUpperInvariant()}.");
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        Exception error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home), progress));
        AssertNoSecret(error.ToString());
        Assert.Contains("***", error.Message);
        Assert.All(progress.Notices, AssertNoSecret);
        Assert.True(status is not (429 or 500) || progress.Notices.Length == 5);
    }

    [Fact]
    public async Task ABrokenLinkIsNamedWithoutItsSignature()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (request.SecondHost) context.Response.StatusCode = 403;
            return Task.FromResult(request.SecondHost);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home), progress));
        AssertNoSecret(error.ToString());
        Assert.All(progress.Reports, report => AssertNoSecret(report.ToString()));
        Assert.NotEmpty(progress.Notices);
    }

    [Fact]
    public async Task ARefusedConnectionDoesNotShowIt()
    {
        LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        await hub.DisposeAsync();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", options));
        Assert.Equal(HubError.Unreachable, error.Error);
        AssertNoSecret(error.ToString());
    }

    private static void AssertNoSecret(string text)
    {
        Assert.DoesNotContain(LoopbackHub.Token, text, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("SecretSignature", text);
    }

    private static bool HoldsSecret(string path) =>
        File.ReadAllText(path).Contains(LoopbackHub.Token, StringComparison.OrdinalIgnoreCase) || path.Contains(LoopbackHub.Token);
}
