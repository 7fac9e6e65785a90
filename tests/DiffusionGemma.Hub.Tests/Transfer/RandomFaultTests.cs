using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>Downloads from a server that fails in drawn ways: all files come whole and right, or an error says why not.</summary>
public sealed class RandomFaultTests
{
    private static readonly string[] Names = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task EveryFileIsRightInTheEnd(int seed)
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        for (int i = 0; i < Names.Length; i++) hub.Tiny.AddLarge(Names[i], 40_000 * (i + 1) * seed, seed: 10 * seed + i);
        var random = new Random(seed);
        int faults = 0;
        hub.Intercept = async (context, request) =>
        {
            int kind, place;
            lock (random) (kind, place) = (random.Next(14), random.Next(1, 1_000_000));
            if (faults > 60 || kind > 7) return false;
            Interlocked.Increment(ref faults);
            if (request.SecondHost) return await FailTransferAsync(hub, context, request, kind, place);
            return FailRequest(context, kind);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        string? folder = null;
        for (int call = 0; folder is null; call++)
        {
            try
            {
                folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home) with { MaxRetries = 20 });
            }
            catch (HubException e) when (e.IsTransient || e.Error == HubError.Corrupt)
            {
                // What is broken twice in a row is refused, and the next call begins that file anew.
                Assert.True(call < 20, e.ToString());
                Assert.False(HubRepository.TryFindCached("org/tiny", out _, hub.Options(home)));
            }
        }
        foreach ((string file, byte[] bytes) in hub.Tiny.Files) Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(folder, file)));
        Assert.DoesNotContain(CacheListing.Of(home.File("hub")), line => line.Contains("incomplete") || line.Contains(".tmp"));
        Assert.True(faults > 5, $"{faults} faults");
    }

    private static bool FailRequest(HttpContext context, int kind)
    {
        if (kind == 0) context.Abort();
        else LoopbackHub.Fail(context, kind switch { 1 or 2 => 429, 3 => 500, 4 => 502, _ => 503 }, "", "Busy");
        if (kind == 1) context.Response.Headers.RetryAfter = "3";
        return true;
    }

    private static async Task<bool> FailTransferAsync(LoopbackHub hub, HttpContext context, HubRequest request, int kind, int place)
    {
        byte[] file = hub.Tiny.Files[request.Path.Split('?')[0].Split('/')[^1]];
        int from = request.Range is { } range ? int.Parse(range["bytes=".Length..^1]) : 0, end = from + place % (file.Length - from);
        switch (kind)
        {
            case 0:
                context.Abort();
                return true;
            case 1:
                context.Response.StatusCode = 403;                  // the link has expired
                return true;
            case 2:
                context.Response.StatusCode = 416;
                return true;
            case 3:
                context.Response.StatusCode = 503;
                return true;
            case 4:                                                 // the whole file, though a range was asked for
                context.Response.ContentLength = file.Length;
                await context.Response.Body.WriteAsync(file);
                return true;
            case 5:                                                 // a wrong byte
                byte[] wrong = [.. file];
                wrong[end] ^= 0x40;
                context.Response.ContentLength = file.Length;
                await context.Response.Body.WriteAsync(wrong);
                return true;
            default:                                                // cut somewhere
                context.Response.ContentLength = file.Length - from;
                if (from > 0)
                {
                    context.Response.StatusCode = 206;
                    context.Response.Headers.ContentRange = $"bytes {from}-{file.Length - 1}/{file.Length}";
                }
                await context.Response.Body.WriteAsync(file.AsMemory(from, end - from));
                await context.Response.Body.FlushAsync();
                await Task.Delay(place % 20);
                context.Abort();
                return true;
        }
    }
}
