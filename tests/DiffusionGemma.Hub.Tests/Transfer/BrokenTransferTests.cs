using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>Transfers that are cut, or that bring something else than was promised.</summary>
public sealed class BrokenTransferTests
{
    private const string Large = "model.safetensors";

    private static readonly HubId Tiny = HubId.Parse("org/tiny");

    [Fact]
    public async Task ACutTransferGoesOnWhereItEnded()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        int cuts = 0;
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (++cuts > 3) return false;
            await hub.CutAsync(context, file, from, 300_000);
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        string path = await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home), progress);
        Assert.Equal(file, File.ReadAllBytes(path));
        Assert.Equal([null, "bytes=300000-", "bytes=600000-", "bytes=900000-"], hub.Gets.Select(request => request.Range));
        Assert.Equal(file.Length, progress.Reports[^1].Bytes);
    }

    [Fact]
    public async Task ATransferThatMovesOnMayBreakOffMoreOftenThanThereAreRetries()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.AddLarge("huge.bin", 9_000_000);
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (file.Length - from <= 1_200_000) return false;
            await hub.CutAsync(context, file, from, 1_200_000);
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, "huge.bin",
            hub.Options(home) with { MaxRetries = 1 })));
        Assert.Equal(8, hub.Gets.Count());
    }

    [Fact]
    public async Task ATransferThatAlwaysBreaksOffEndsInAnErrorAndKeepsItsPart()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (from > 0) context.Abort();
            else await hub.CutAsync(context, file, from, 500_000);
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home)));
        Assert.Equal(HubError.Unreachable, error.Error);
        Assert.Equal(6, hub.Gets.Count());

        hub.Intercept = null;
        hub.Requests.Clear();
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home))));
        Assert.Equal("bytes=500000-", Assert.Single(hub.Gets).Range);
        Assert.DoesNotContain(CacheListing.Of(home.File("hub")), line => line.Contains("incomplete"));
    }

    [Fact]
    public async Task AServerWithoutRangesSendsTheWholeFileAgain()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (from == 0) await hub.CutAsync(context, file, 0, 700_000);
            else await context.Response.Body.WriteAsync(file);
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        var progress = new ProgressList();
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home), progress)));
        Assert.Equal(file.Length, progress.Reports[^1].Bytes);
    }

    [Fact]
    public async Task ARangeThatTheServerRefusesStartsTheFileAnew()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (from == 0 && hub.Gets.Count() > 1) return false;
            if (from > 0) context.Response.StatusCode = 416;
            else await hub.CutAsync(context, file, 0, 700_000);
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home))));
        Assert.Equal([null, "bytes=700000-", null], hub.Gets.Select(request => request.Range));
    }

    [Fact]
    public async Task AnotherRangeThanWasAskedForIsRefused()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (from == 0) await hub.CutAsync(context, file, 0, 700_000);
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes 0-{file.Length - 1}/{file.Length}";
            await context.Response.Body.WriteAsync(file);
            return true;
        });
        await CorruptAsync(hub, "asked for were those from 700000 on");
    }

    [Fact]
    public async Task AnExpiredLinkIsAskedForAgain()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        int calls = 0;
        AnswerSecondHost(hub, async (context, from) =>
        {
            switch (++calls)
            {
                case 1: await hub.CutAsync(context, file, 0, 700_000); return true;
                case 2: context.Response.StatusCode = 403; return true;
                default: return false;
            }
        });
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, options)));
        Assert.Equal(3, hub.Requests.Count(request => request.Method == "HEAD"));
        Assert.Equal("bytes=700000-", hub.Gets.Last().Range);
        Assert.Single(((InstantClock)options.Clock).Waits);         // after the cut; an expired link is no reason to wait
    }

    [Theory]
    [InlineData(Large)]
    [InlineData("config.json")]
    public async Task AWrongHashIsTriedOnceMoreAndThenRefused(string name)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        string tag = hub.Tiny.Tag(name);
        hub.Tiny.Tags[name] = tag;
        hub.Tiny.Files[name] = [.. hub.Tiny.Files[name]];
        hub.Tiny.Files[name][^1] ^= 1;
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(Tiny, name, hub.Options(home)));
        Assert.Equal(HubError.Corrupt, error.Error);
        Assert.Contains(tag, error.Message);
        Assert.Equal(2, hub.Gets.Count());
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(home.File("hub"), "models--org--tiny", "blobs")));
        Assert.False(Directory.Exists(Path.Combine(home.File("hub"), "models--org--tiny", "snapshots")));
    }

    [Fact]
    public async Task APartThatIsBrokenIsReplaced()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        using TemporaryFolder home = Fixtures.Temporary();
        string blobs = Path.Combine(home.File("hub"), "models--org--tiny", "blobs"),
            part = Path.Combine(blobs, hub.Tiny.Tag(Large) + ".diffusiongemma.incomplete");
        foreach (int length in new[] { 1000, file.Length, file.Length + 1 })
        {
            if (Directory.Exists(blobs)) Directory.Delete(home.File("hub"), recursive: true);
            Directory.CreateDirectory(blobs);
            File.WriteAllBytes(part, new byte[length]);
            var progress = new ProgressList();
            Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home), progress)));
            Assert.Equal(file.Length, progress.Reports[^1].Bytes);
            Assert.False(File.Exists(part));
        }
    }

    [Fact]
    public async Task APartThatIsWholeIsTakenAsItIs()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        using TemporaryFolder home = Fixtures.Temporary();
        string blobs = Directory.CreateDirectory(Path.Combine(home.File("hub"), "models--org--tiny", "blobs")).FullName;
        File.WriteAllBytes(Path.Combine(blobs, hub.Tiny.Tag(Large) + ".diffusiongemma.incomplete"), file);
        Assert.Equal(file, File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home))));
        Assert.Empty(hub.Gets);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task AnotherSizeThanPromisedIsRefused(int difference)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            context.Response.ContentLength = file.Length + difference;
            await context.Response.Body.WriteAsync(new byte[file.Length + difference]);
            return true;
        });
        await CorruptAsync(hub, $"has {file.Length} bytes, and {file.Length + difference} are sent");
    }

    [Fact]
    public async Task MoreBytesThanPromisedAreRefusedWhereNoLengthIsSaid()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        AnswerSecondHost(hub, async (context, from) =>
        {
            for (int i = 0; i < 3; i++) await context.Response.Body.WriteAsync(new byte[1_000_000]);
            return true;
        });
        await CorruptAsync(hub, "more are sent");
    }

    [Fact]
    public async Task ACompressedAnswerIsRefused()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        AnswerSecondHost(hub, async (context, from) =>
        {
            context.Response.Headers.ContentEncoding = "gzip";
            await context.Response.Body.WriteAsync(new byte[10]);
            return true;
        });
        await CorruptAsync(hub, "compressed");
    }

    [Fact]
    public async Task AListingAndAFileThatContradictEachOtherAreRefused()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        hub.Intercept = (context, request) =>
        {
            if (request.Method != "HEAD") return Task.FromResult(false);
            hub.Tiny.Tags["config.json"] = new string('c', 40);
            return Task.FromResult(false);
        };
        HubException error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { Include = ["config.json"] }));
        Assert.Equal(HubError.Corrupt, error.Error);
        Assert.Contains("contradicts itself", error.Message);

        hub.Intercept = (context, request) =>
        {
            if (request.Method == "HEAD") hub.Tiny.Sizes[Large] = 17;
            return Task.FromResult(false);
        };
        error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { Include = [Large] }));
        Assert.Equal(HubError.Corrupt, error.Error);
        Assert.Contains("17 are sent", error.Message);
    }

    [Fact]
    public async Task ABodyThatStopsComingIsTakenUpAgain()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files[Large];
        AnswerSecondHost(hub, async (context, from) =>
        {
            if (from > 0) return false;
            context.Response.ContentLength = file.Length;
            await context.Response.Body.WriteAsync(file.AsMemory(0, 400_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(TimeSpan.FromMinutes(5), context.RequestAborted).ContinueWith(_ => { });
            return true;
        });
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home) with { Timeout = TimeSpan.FromSeconds(2), MaxRetries = 50 };
        string path = await HubRepository.DownloadFileAsync(Tiny, Large, options);
        Assert.Equal(file, File.ReadAllBytes(path));
        // on a busy machine a later answer may stop too, and is taken up from where it had come to
        string?[] ranges = [.. hub.Gets.Select(get => get.Range).Where(range => range is not null)];
        Assert.Equal("bytes=400000-", ranges[0]);
    }

    [Fact]
    public async Task ASizeThatTheHeadDoesNotSayIsTheAnswers()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            if (request.Method == "HEAD") context.Response.OnStarting(() =>
            {
                context.Response.Headers.Remove("X-Linked-Size");
                context.Response.ContentLength = null;
                return Task.CompletedTask;
            });
            return Task.FromResult(false);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        foreach (string name in new[] { Large, "config.json" })
            Assert.Equal(hub.Tiny.Files[name], File.ReadAllBytes(await HubRepository.DownloadFileAsync(Tiny, name, hub.Options(home))));
    }

    private static void AnswerSecondHost(LoopbackHub hub, Func<HttpContext, int, Task<bool>> answer)
    {
        hub.Intercept = async (context, request) =>
            request.SecondHost && await answer(context, request.Range is { } range ? int.Parse(range["bytes=".Length..^1]) : 0);
    }

    private static async Task CorruptAsync(LoopbackHub hub, string said)
    {
        using TemporaryFolder home = Fixtures.Temporary();
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(Tiny, Large, hub.Options(home)));
        Assert.Equal(HubError.Corrupt, error.Error);
        Assert.Contains(said, error.Message);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(home.File("hub"), "models--org--tiny", "blobs")));
    }
}
