namespace DiffusionGemma;

/// <summary>
/// Every call that takes a token, with one that is cancelled already, and with one that is cancelled at each request in turn: the call
/// ends, and the next one brings everything.
/// </summary>
public sealed class CancelledCallsTests
{
    private static Dictionary<string, Func<HubOptions, CancellationToken, Task>> All { get; } = new()
    {
        ["an id in text"] = (options, token) => HubRepository.DownloadAsync("org/tiny", options, cancellation: token),
        ["an id"] = (options, token) => HubRepository.DownloadAsync(HubId.Parse("org/tiny"), options, cancellation: token),
        ["a file"] = (options, token) =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "model.safetensors", options, cancellation: token),
        ["files"] = (options, token) =>
            HubRepository.DownloadFilesAsync(HubPath.Parse("hf://org/tiny/*.safetensors"), options, cancellation: token),
    };

    public static TheoryData<string> Calls => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task CancelledBeforeOrAtEachRequest(string name)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => All[name](hub.Options(home), new CancellationToken(canceled: true)));
        Assert.Empty(hub.Requests);
        Assert.False(Directory.Exists(home.File("hub")));

        int at = 1;
        for (bool ended = false; !ended; at++)
        {
            Assert.True(at < 20, "Requests go on.");
            int count = 0;
            using var cancel = new CancellationTokenSource();
            hub.Intercept = async (context, _) =>
            {
                if (Interlocked.Increment(ref count) != at) return false;
                await cancel.CancelAsync();
                // The answer does not come: only the caller's token ends the call.
                await Task.Delay(TimeSpan.FromMinutes(1), context.RequestAborted).ContinueWith(_ => { });
                return true;
            };
            using TemporaryFolder cache = Fixtures.Temporary();
            Exception? error = await Record.ExceptionAsync(() => All[name](hub.Options(cache), cancel.Token));
            ended = error is null;                                  // there are fewer requests than that
            if (ended) continue;
            Assert.True(error is OperationCanceledException, $"at request {at}: {error}");
            hub.Intercept = null;
            await All[name](hub.Options(cache), default);
            Assert.DoesNotContain(CacheListing.Of(cache.File("hub")), line => line.Contains(".tmp") || line.Contains("incomplete"));
        }
        Assert.True(at > 2, "There was no request.");
    }
}
