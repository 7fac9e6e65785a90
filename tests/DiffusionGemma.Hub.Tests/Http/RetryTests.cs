namespace DiffusionGemma;

public sealed class RetryTests
{
    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    public async Task TheTimeThatTheServerAsksForIsWaited(int status)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, status, times: 2, retryAfter: "17");
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        var progress = new ProgressList();
        await HubRepository.DownloadAsync("org/tiny", options, progress);
        Assert.Equal([TimeSpan.FromSeconds(17), TimeSpan.FromSeconds(17)], ((InstantClock)options.Clock).Waits);
        Assert.Equal(2, progress.Notices.Count(notice => notice.Contains($"({status}") && notice.EndsWith("Next try in 17 s.")));
    }

    [Fact]
    public async Task ItMayAskByDate()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, 429, times: 1, retryAfter: DateTimeOffset.UtcNow.AddMinutes(5).ToString("R"));
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        await HubRepository.DownloadAsync("org/tiny", options);
        Assert.InRange(Assert.Single(((InstantClock)options.Clock).Waits), TimeSpan.FromMinutes(3), TimeSpan.FromMinutes(6));
    }

    /// <summary>The date counts from the server's own, so that a clock that is set back makes no wait longer.</summary>
    [Fact]
    public async Task AClockThatIsSetBackMakesNoWaitLonger()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, 503, times: 3, retryAfter: DateTimeOffset.UtcNow.AddMinutes(5).ToString("R"));
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home) with { Clock = new InstantClock { Step = TimeSpan.FromDays(-1) } };
        await HubRepository.DownloadAsync("org/tiny", options);
        Assert.Equal(3, ((InstantClock)options.Clock).Waits.Count);
        Assert.All(((InstantClock)options.Clock).Waits, wait => Assert.InRange(wait, TimeSpan.FromMinutes(3), TimeSpan.FromMinutes(6)));
    }

    [Fact]
    public async Task AWaitThatIsTooLongIsAnErrorAtOnce()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, 429, times: 1, retryAfter: "7200");
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", options));
        Assert.Equal(HubError.RateLimited, error.Error);
        Assert.Equal(TimeSpan.FromHours(2), error.RetryAfter);
        Assert.Empty(((InstantClock)options.Clock).Waits);
    }

    [Fact]
    public async Task WithoutAWordOfTheServerTheWaitsGrowAndEnd()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, 500, times: int.MaxValue);
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", options));
        Assert.Equal(HubError.ServerFailed, error.Error);
        Assert.Contains("HF_ENDPOINT", error.Message);
        Assert.Equal(6, hub.Requests.Count);
        Assert.Equal(5, ((InstantClock)options.Clock).Waits.Count);
    }

    [Fact]
    public async Task RetriesCanBeTurnedOff()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        Fail(hub, 500, times: 1);
        using TemporaryFolder home = Fixtures.Temporary();
        await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { MaxRetries = 0 }));
        Assert.Single(hub.Requests);
    }

    [Fact]
    public async Task ASilentServerIsGivenUp()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = async (context, request) =>
        {
            await Task.Delay(TimeSpan.FromMinutes(5), context.RequestAborted).ContinueWith(_ => { });
            return true;
        };
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadAsync("org/tiny",
            hub.Options(home) with { Timeout = TimeSpan.FromSeconds(1), MaxRetries = 1 }));
        Assert.Equal(HubError.Unreachable, error.Error);
        Assert.Contains("no answer within 1 s", error.Message);
    }

    /// <summary>An id may be a folder's name with a slip in it: the message has the folder that was looked for.</summary>
    [Fact]
    public async Task AHubThatIsDownLeadsToTheFolder()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        Fail(hub, 503, times: int.MaxValue);
        HubOptions options = hub.Options(home) with { MaxRetries = 0 };
        foreach (Task<string> download in new[]
        {
            HubRepository.DownloadAsync("org/tiny", options),
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny@main"), "config.json", options),
        })
        {
            HubException error = await Assert.ThrowsAsync<HubException>(() => download);
            Assert.Equal(HubError.ServerFailed, error.Error);
            Assert.StartsWith("org/tiny", error.Message);
            Assert.Contains($"name a folder that is there (there is no {Path.GetFullPath("org/tiny")})", error.Message);
        }
    }

    [Fact]
    public async Task AHubThatIsDownLeavesWhatIsInTheCache()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Fail(hub, 503, times: int.MaxValue);
        var progress = new ProgressList();
        Assert.Equal(folder, await HubRepository.DownloadAsync("org/tiny", hub.Options(home), progress));
        Assert.Contains(progress.Notices, notice => notice.StartsWith("The cache's copy of org/tiny is used"));
        Assert.Equal(Path.Combine(folder, "config.json"),
            await HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", hub.Options(home)));
        File.Delete(Path.Combine(folder, "config.json"));
        Assert.Equal(HubError.ServerFailed, (await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home)))).Error);
    }

    private static void Fail(LoopbackHub hub, int status, int times, string? retryAfter = null)
    {
        int left = times;
        hub.Intercept = (context, request) =>
        {
            if (Interlocked.Decrement(ref left) < 0) return Task.FromResult(false);
            LoopbackHub.Fail(context, status, "", "Busy");
            if (retryAfter is not null) context.Response.Headers.RetryAfter = retryAfter;
            return Task.FromResult(true);
        };
    }
}
