namespace DiffusionGemma;

/// <summary>Downloads to a disk that is full, that fills up in the middle of a file, and that is read-only.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public void DownloadsSayWhatFailedAndGoOnLater() => SmallDisk.Run(nameof(ChildOnASmallDisk), nameof(FullDiskTests));

    /// <summary>Runs in the child only: an explicit test is in no ordinary run.</summary>
    [Fact(Explicit = true)]
    public async Task ChildOnASmallDisk()
    {
        string disk = SmallDisk.Here, cache = Path.Combine(disk, "hub");
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        HubOptions options = hub.Options(home) with { CacheFolder = cache };
        string before = await HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", options);

        string ballast = SmallDisk.Fill();
        await FailsAsync("No space left");
        File.Delete(ballast);

        // In the middle of the transfer there is no room any more.
        byte[] file = hub.Tiny.Files["model.safetensors"];
        hub.Intercept = async (context, request) =>
        {
            if (!request.SecondHost || request.Range is not null) return false;
            context.Response.ContentLength = file.Length;
            await context.Response.Body.WriteAsync(file.AsMemory(0, 500_000));
            await context.Response.Body.FlushAsync();
            string blobs = Path.Combine(cache, "models--org--tiny", "blobs");
            while (!Directory.EnumerateFiles(blobs, "*.incomplete").Any(part => new FileInfo(part).Length >= 500_000)) await Task.Delay(20);
            ballast = SmallDisk.Fill();
            await context.Response.Body.WriteAsync(file.AsMemory(500_000));
            return true;
        };
        await FailsAsync("No space left");
        File.Delete(ballast);
        hub.Intercept = null;
        string folder = await HubRepository.DownloadAsync("org/tiny", options);
        Assert.Equal(file, File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        Assert.Equal(folder, Path.GetDirectoryName(before));

        SmallDisk.MakeReadOnly();
        hub.Tiny.Commit = new string('b', 40);
        hub.Tiny.Files["config.json"] = """{"model_type":"other"}"""u8.ToArray();
        await FailsAsync("Read-only file system");
        Assert.Equal("""{"model_type":"tiny"}""", File.ReadAllText(before));
        SmallDisk.Passed();

        async Task FailsAsync(string said)
        {
            var error = await Assert.ThrowsAnyAsync<IOException>(() => HubRepository.DownloadAsync("org/tiny", options));
            Assert.True(error.Message.Contains(cache, StringComparison.Ordinal), $"{cache} is not in: {error}");
            Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{said} is not in: {error}");
            string[] blobs = [.. Directory.EnumerateFiles(Path.Combine(cache, "models--org--tiny", "blobs")).Select(Path.GetFileName)!];
            Assert.DoesNotContain(hub.Tiny.Tag("model.safetensors"), blobs.Take(said == "Read-only file system" ? 0 : blobs.Length));
            Assert.Equal("""{"model_type":"tiny"}""", File.ReadAllText(before));
        }
    }
}
