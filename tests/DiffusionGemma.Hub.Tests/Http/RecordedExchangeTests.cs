using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>The Python client's recorded session, repeated: the same questions get the same answers, and leave the same cache.</summary>
public sealed class RecordedExchangeTests
{
    private static readonly HubId Tiny = HubId.Parse("org/tiny");

    private readonly Recording _recording = new();

    [Fact]
    public async Task EveryCallAsksWhatThePythonClientAsksAndTheCacheIsTheSame()
    {
        await using LoopbackHub hub = await LoopbackHub.StartAsync();
        hub.Intercept = (context, request) => AnswerAsync(hub, context, request);
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home);
        string snapshot = Path.Combine(home.File("hub"), "models--org--tiny", "snapshots", ServedRepository.FirstCommit);

        Assert.Equal(Path.Combine(snapshot, "config.json"), await HubRepository.DownloadFileAsync(Tiny, "config.json", options));
        Same(hub, "hf_hub_download config.json");

        await HubRepository.DownloadFileAsync(Tiny, "config.json", options);
        Same(hub, "again, cached");

        await HubRepository.DownloadFileAsync(Tiny, "model.safetensors", options);
        Same(hub, "model.safetensors");

        // The recorder noted the first call's request with the second's.
        HubException error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(Tiny, "nothing.json", options));
        Assert.Equal(HubError.FileNotFound, error.Error);
        error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(Tiny.At("v9"), "config.json", options));
        Assert.Equal(HubError.RevisionNotFound, error.Error);
        Same(hub, "missing revision");

        HubId commit = Tiny.At(ServedRepository.FirstCommit);
        Assert.Equal(Path.Combine(snapshot, "config.json"), await HubRepository.DownloadFileAsync(commit, "config.json", options));
        Same(hub, "by commit, cached: no request");
        error = await Assert.ThrowsAsync<HubException>(() => HubRepository.DownloadFileAsync(commit, "nothing.json", options));
        Assert.Equal(HubError.FileNotFound, error.Error);
        Assert.Empty(hub.Requests);

        Assert.Equal(snapshot, await HubRepository.DownloadAsync("org/tiny", options));
        Same(hub, "snapshot_download");

        error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/gated"), "config.json", options));
        Assert.Equal(HubError.Gated, error.Error);
        Same(hub, "gated");

        error = await Assert.ThrowsAsync<HubException>(() =>
            HubRepository.DownloadFileAsync(HubId.Parse("org/missing"), "config.json", options));
        Assert.Equal(HubError.RepositoryNotFound, error.Error);
        Same(hub, "missing repo");

        await HubRepository.DownloadFileAsync(HubId.Parse("org/moved"), "config.json", options);
        Same(hub, "moved");

        // The Python client takes up no part of a file, and its part is not ours either.
        string large = File.ResolveLinkTarget(Path.Combine(snapshot, "model.safetensors"), returnFinalTarget: true)!.FullName;
        File.Delete(large);
        File.WriteAllBytes(large + ".incomplete", new byte[1_000_000]);
        await HubRepository.DownloadFileAsync(Tiny, "model.safetensors", options);
        Same(hub, "resumed from NAME.incomplete");

        string[] listing = CacheListing.Of(home.File("hub"));
        Assert.Equal(CacheListing.Shared(_recording.CacheAfterwards), CacheListing.Shared(listing));
        Assert.Equal(_recording.CacheAfterwards.Where(line => line.Contains(".lock")).Order(StringComparer.Ordinal),
            listing.Where(line => line.Contains(".lock")));
        Assert.Equal(_recording.CacheAfterwards.Where(line => line.Contains("/trees/")), listing.Where(line => line.Contains("/trees/")));
        Assert.DoesNotContain(listing, line => line.Contains(".tmp") || line.Contains(".diffusiongemma"));
    }

    /// <summary>The requests since the last step, in whatever order: files come side by side.</summary>
    private void Same(LoopbackHub hub, string step)
    {
        Assert.Equal(_recording.Step(step).Requests.Select(request => request.ToString()).Order(StringComparer.Ordinal),
            hub.Requests.Select(request => new RecordedRequest(request.SecondHost, request.Method, request.Path, request.Authorization
                is not null, 0,
                new Dictionary<string, string>()).ToString()).Order(StringComparer.Ordinal));
        Assert.All(hub.Requests, request => Assert.True(request.Authorization is null or $"Bearer {LoopbackHub.Token}"));
        Assert.All(hub.Requests, request => Assert.Equal("identity", request.Encoding));
        hub.Requests.Clear();
    }

    private async Task<bool> AnswerAsync(LoopbackHub hub, HttpContext context, HubRequest request)
    {
        RecordedRequest? recorded = _recording.All.FirstOrDefault(known =>
            (known.SecondHost, known.Method, known.Path) == (request.SecondHost, request.Method, request.Path));
        if (recorded is null)
        {
            LoopbackHub.Fail(context, 400, "Unrecorded", request.ToString());
            return true;
        }
        context.Response.StatusCode = recorded.Status;
        foreach ((string name, string value) in recorded.Headers)
            context.Response.Headers[name] = value.Replace("SECOND-HOST/", hub.SecondHost.AbsoluteUri);
        if (request.Path.Contains("/revision/"))
            await context.Response.WriteAsync($$"""{"id":"org/tiny","sha":"{{ServedRepository.FirstCommit}}","siblings":[]}""");
        else if (request.Path.Contains("/tree/"))
            await context.Response.WriteAsync($"[{string.Join(',', Files().Select(Entry))}]");
        else if (request.Method == "GET")
            await context.Response.Body.WriteAsync(Recording.FileOf(Path.GetFileName(request.Path)));
        return true;
    }

    private static IEnumerable<string> Files() =>
        Directory.EnumerateFiles(Fixtures.Checkpoint("tiny-chat")).Select(path => Path.GetFileName(path));

    private static string Entry(string name)
    {
        byte[] file = Recording.FileOf(name);
        string large = name is "model.safetensors" or "tokenizer.json"
            ? $$""","lfs":{"oid":"{{ServedRepository.Sha256(file)}}","size":{{file.Length}},"pointerSize":132}""" : "";
        return $$"""{"type":"file","path":"{{name}}","size":{{file.Length}},"oid":"{{ServedRepository.GitHash(file)}}"{{large}}}""";
    }
}
