using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>Downloads by several processes, and by one that is killed.</summary>
public sealed class ProcessTests
{
    [Fact]
    public async Task AProcessThatIsKilledHalfWayLeavesAPartThatTheNextGoesOnFrom()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        byte[] file = hub.Tiny.Files["model.safetensors"];
        var half = new TaskCompletionSource();
        hub.Intercept = async (context, request) =>
        {
            if (!request.SecondHost || request.Range is not null) return false;
            context.Response.ContentLength = file.Length;
            await context.Response.Body.WriteAsync(file.AsMemory(0, 1_000_000));
            await context.Response.Body.FlushAsync();
            half.SetResult();
            await Task.Delay(TimeSpan.FromMinutes(5), context.RequestAborted).ContinueWith(_ => { });
            return true;
        };
        using TemporaryFolder home = Fixtures.Temporary();
        using Process process = Start(hub, home);
        await half.Task.WaitAsync(TimeSpan.FromMinutes(2));
        string blobs = Path.Combine(home.File("hub"), "models--org--tiny", "blobs");
        for (int n = 0; n < 1200 && PartOf(blobs) < 1_000_000; n++) await Task.Delay(50);
        process.Kill();                                             // SIGKILL: nothing is tidied up
        await process.WaitForExitAsync();
        Assert.Equal(1_000_000, PartOf(blobs));
        Assert.False(File.Exists(Path.Combine(blobs, hub.Tiny.Tag("model.safetensors"))));
        Assert.False(HubRepository.TryFindCached("org/tiny", out _, hub.Options(home)));

        string folder = await HubRepository.DownloadAsync("org/tiny", hub.Options(home));
        Assert.Equal(file, File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        Assert.Equal("bytes=1000000-", hub.Gets.Last(request => request.SecondHost).Range);
        Assert.DoesNotContain(CacheListing.Of(home.File("hub")), line => line.Contains("incomplete"));
    }

    [Fact]
    public async Task TwoProcessesDownloadEachFileOnceBetweenThem()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        for (int i = 0; i < 3; i++) hub.Tiny.AddLarge($"shard{i}.bin", 200_000, seed: i + 2);
        hub.Intercept = async (context, request) =>
        {
            // Until both have asked for the list, no file comes: they work side by side.
            for (int n = 0; n < 1200 && hub.Requests.Count(seen => seen.Path.Contains("/revision/")) < 2; n++) await Task.Delay(50);
            if (request.SecondHost) await Task.Delay(200);
            return false;
        };
        using TemporaryFolder home = Fixtures.Temporary();
        using Process first = Start(hub, home), second = Start(hub, home);
        string[] folders = await Task.WhenAll(EndAsync(first), EndAsync(second));
        Assert.Equal(folders[0], folders[1]);
        foreach ((string file, byte[] bytes) in hub.Tiny.Files)
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(folders[0], file)));
        Assert.Equal(hub.Tiny.Files.Count, hub.Gets.Count());
        Assert.All(hub.Requests.Where(request => !request.SecondHost), request =>
            Assert.Equal($"Bearer {LoopbackHub.Token}", request.Authorization));
    }

    [Fact]
    public async Task TheTokenIsInNothingThatAProcessPrints()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        hub.Intercept = (context, request) =>
        {
            LoopbackHub.Fail(context, 401, "", $"Invalid: {request.Authorization}");
            return Task.FromResult(true);
        };
        using TemporaryFolder home = Fixtures.Temporary();
        using Process process = Start(hub, home);
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.NotEqual(0, process.ExitCode);
        Assert.Contains("***", await errors);
        Assert.DoesNotContain(LoopbackHub.Token, await output + await errors);
    }

    private static Process Start(LoopbackHub hub, TemporaryFolder home)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "DiffusionGemma.Downloads"), ["org/tiny"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("HF_")).ToArray()) start.Environment.Remove(name);
        start.Environment["HF_ENDPOINT"] = hub.Endpoint.AbsoluteUri;
        start.Environment["HF_HOME"] = home.Path;
        start.Environment["HF_TOKEN"] = LoopbackHub.Token;
        return Process.Start(start)!;
    }

    private static async Task<string> EndAsync(Process process)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await errors);
        return (await output).Trim();
    }

    private static long PartOf(string blobs) =>
        Directory.Exists(blobs) ? Directory.EnumerateFiles(blobs, "*.diffusiongemma.incomplete")
            .Max(path => (long?)new FileInfo(path).Length) ?? 0 : 0;
}
