using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Requests of the Hub's Python client, the answers it got and the cache it left: tests/fixtures/hub/exchange.json.</summary>
internal sealed class Recording
{
    private readonly Dictionary<string, RecordedStep> _steps = [];

    public Recording()
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Path("hub", "exchange.json")));
        foreach (JsonProperty step in json.RootElement.EnumerateObject().Where(step => step.Value.ValueKind == JsonValueKind.Object))
            _steps.Add(step.Name, RecordedStep.Read(step.Value));
        CacheAfterwards = [.. json.RootElement.GetProperty("cache afterwards").EnumerateArray().Select(line => line.GetString()!)];
    }

    /// <summary>The lines of a listing, as <see cref="CacheListing"/> makes them.</summary>
    public IReadOnlyList<string> CacheAfterwards { get; }

    public IEnumerable<RecordedRequest> All => _steps.Values.SelectMany(step => step.Requests);

    public RecordedStep Step(string start) => _steps.Single(step => step.Key.StartsWith(start, StringComparison.Ordinal)).Value;

    /// <summary>The contents of the recorded repository's files: those of tiny-chat.</summary>
    public static byte[] FileOf(string name) => File.ReadAllBytes(Path.Combine(Fixtures.Checkpoint("tiny-chat"), name));

    /// <summary>The cache, made again as the client left it.</summary>
    /// <param name="home">Where its folder hub is made.</param>
    /// <param name="without">Leaves out the entries whose path has this in it.</param>
    public void WriteCache(string home, string without)
    {
        Dictionary<string, string> fileOfBlob = [];
        foreach (string[] link in CacheAfterwards.Where(line => line.Contains(" -> ")).Select(line => line.Split(" -> ")))
            fileOfBlob[Path.GetFileName(link[1])] = Path.GetFileName(link[0]);
        foreach (string line in CacheAfterwards.Where(line => !line.Contains(without)))
        {
            string path = Path.Combine(home, line.Split([" [", " -> "], StringSplitOptions.None)[0]), name = Path.GetFileName(path);
            if (line.EndsWith('/')) Directory.CreateDirectory(path);
            else if (line.Contains(" -> ")) File.CreateSymbolicLink(path, line.Split(" -> ")[1]);
            else if (line.Contains("] = '")) File.WriteAllText(path, line.Split("] = '")[1].TrimEnd('\''));
            else if (fileOfBlob.TryGetValue(name, out string? file)) File.WriteAllBytes(path, FileOf(file));
            else File.WriteAllBytes(path, new byte[int.Parse(line.Split(" [")[1].Split(' ')[0])]);
        }
    }
}
