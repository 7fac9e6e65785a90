using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The Hub's requests. None is made again here: <see cref="Retries"/> does that.</summary>
internal sealed partial class HubClient(HubSettings settings, ProgressMeter meter) : IDisposable
{
    private const int MaxPages = 10_000;
    private const long MaxJsonBytes = 256 << 20;

    private readonly HubTransport _transport = new(settings);
    private readonly HubFaults _faults = new(settings);

    /// <returns>The commit that the id's revision is at.</returns>
    public async ValueTask<string> CommitAsync(HubId id, CancellationToken cancellation)
    {
        (JsonDocument json, _) = await GetJsonAsync(Api(id, "revision", id.Revision), id, cancellation).ConfigureAwait(false);
        using (json)
        {
            string commit = Property(json.RootElement, "sha") is { } sha && HubId.IsCommitHash(sha) ? sha
                : throw NoHub($"no commit for {id}");
            if (Property(json.RootElement, "id") is { } name && !string.Equals(name, id.Repository, StringComparison.OrdinalIgnoreCase)
                && HubId.TryParse(name, out _))
            {
                meter.Notify($"{id.Repository} was renamed to {name}: use that name.");
            }
            return commit;
        }
    }

    /// <returns>All files of a commit.</returns>
    public async ValueTask<RepositoryTree> TreeAsync(HubId id, string commit, CancellationToken cancellation)
    {
        var files = new List<TreeFile>();
        var pages = new HashSet<Uri>();
        Uri? page = new(Api(id, "tree", commit).AbsoluteUri + "?recursive=true&expand=false");
        while (page is not null)
        {
            if (!pages.Add(page) || pages.Count > MaxPages) throw NoHub($"pages without an end for the files of {id}");
            (JsonDocument json, Uri? next) = await GetJsonAsync(page, id.At(commit), cancellation).ConfigureAwait(false);
            using (json)
            {
                try
                {
                    foreach (JsonElement entry in json.RootElement.EnumerateArray())
                        if (entry.GetProperty("type").GetString() == "file")
                            files.Add(TreeFile.FromHub(entry));
                }
                catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException or JsonException)
                {
                    throw NoHub($"a list of the files of {id} that cannot be read ({e.Message})", e);
                }
            }
            page = next;
        }
        foreach (TreeFile file in files)
            _ = RepositoryFile.Below("", file.Path);
        return new RepositoryTree(files);
    }

    /// <returns>The file's size, hash and place.</returns>
    /// <param name="id">The repository; its revision is asked for.</param>
    /// <param name="file">The file's name.</param>
    /// <param name="missing">Called with the commit where the file is known not to be there, before the exception.</param>
    /// <param name="cancellation">Ends the request.</param>
    public async ValueTask<FileHead> HeadAsync(HubId id, string file, Action<string>? missing, CancellationToken cancellation)
    {
        string kind = id.Kind == HubKind.Dataset ? "datasets/" : "";
        Uri address = Address($"{kind}{id.Repository}/resolve/{Uri.EscapeDataString(id.Revision)}/{Escaped(file)}");
        using HubAnswer answer = await _transport.SendAsync(HttpMethod.Head, address, from: 0, stopAtOtherHost: true, cancellation)
            .ConfigureAwait(false);
        string commit = answer.Header("X-Repo-Commit") ?? "";
        if (answer.Elsewhere is null && !answer.Response.IsSuccessStatusCode)
        {
            if (answer.Header("X-Error-Code") == "EntryNotFound" && HubId.IsCommitHash(commit)) missing?.Invoke(commit);
            throw _faults.Of(answer, id, file);
        }
        string? etag = answer.Header("X-Linked-Etag") ?? answer.Header("ETag");
        long? size = long.TryParse(answer.Header("X-Linked-Size"), out long linked) ? linked
            : answer.Response.Content.Headers.ContentLength;
        if (!HubId.IsCommitHash(commit) || etag is null || size < 0)
            throw NoHub($"no commit or entity tag for the file {file} of {id}");
        return new FileHead(commit, etag, size, answer.Elsewhere ?? answer.Address);
    }

    /// <returns>A file's bytes from one of them on: an answer of 200 or 206, or that the link has expired.</returns>
    public async Task<HubAnswer> OpenAsync(HubId id, string file, Uri location, long from, CancellationToken cancellation)
    {
        HubAnswer answer = await _transport.SendAsync(HttpMethod.Get, location, from, stopAtOtherHost: false, cancellation)
            .ConfigureAwait(false);
        if (answer.Response.IsSuccessStatusCode || answer.Response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
            return answer;
        using (answer)
        {
            // Another host's no is not the Hub's about the repository: the link expired, or its storage fails.
            throw Origin.IsSame(answer.Address, settings.Endpoint) || (int)answer.Response.StatusCode is 429 or >= 500
                ? _faults.Of(answer, id, file)
                : new HubException(HubError.Unreachable,
                    $"{answer.Address.Authority} does not give the file {file} of {id} ({(int)answer.Response.StatusCode}): "
                    + "the link may have expired.")
                {
                    RetryAfter = TimeSpan.Zero,
                };
        }
    }

    public void Dispose() => _transport.Dispose();

    private async Task<(JsonDocument Json, Uri? Next)> GetJsonAsync(Uri address, HubId id, CancellationToken cancellation)
    {
        using HubAnswer answer = await _transport.SendAsync(HttpMethod.Get, address, from: 0, stopAtOtherHost: false, cancellation)
            .ConfigureAwait(false);
        if (!answer.Response.IsSuccessStatusCode) throw _faults.Of(answer, id);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silence.CancelAfter(settings.Options.Timeout);
        try
        {
            await answer.Response.Content.LoadIntoBufferAsync(MaxJsonBytes, silence.Token).ConfigureAwait(false);
            using Stream stream = await answer.Response.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false);
            JsonDocument json = await JsonDocument.ParseAsync(stream, cancellationToken: silence.Token).ConfigureAwait(false);
            return (json, Next(answer));
        }
        catch (JsonException e)
        {
            throw NoHub($"no JSON for {id} ({e.Message})", e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException and not HubException
            || e is OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            throw new HubException(HubError.Unreachable, $"The answer of {address.Authority} for {id} broke off ({e.Message}).", e);
        }
    }

    private static Uri? Next(HubAnswer answer)
    {
        if (!answer.Response.Headers.TryGetValues("Link", out IEnumerable<string>? links)) return null;
        Match match = NextPattern().Match(string.Join(", ", links));
        return match.Success ? Origin.Follow(answer.Address, match.Groups[1].Value) : null;
    }

    private Uri Api(HubId id, string what, string revision) =>
        Address($"api/{(id.Kind == HubKind.Dataset ? "datasets" : "models")}/{id.Repository}/{what}/{Uri.EscapeDataString(revision)}");

    private Uri Address(string path) => new($"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{path}");

    private static string Escaped(string file) => string.Join('/', file.Split('/').Select(Uri.EscapeDataString));

    /// <summary>The text of a property; null where there is none.</summary>
    private string? Property(JsonElement json, string name)
    {
        try
        {
            return json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out JsonElement value)
                && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException e)                                                     // half a surrogate pair, as an escape
        {
            throw NoHub($"a text that is not Unicode for '{name}'", e);
        }
    }

    private HubException NoHub(string gave, Exception? inner = null) =>
        new(HubError.Refused, $"{settings.Endpoint.Authority} gave {gave}: it is no Hub, or something between answers in its place. "
            + "Check HF_ENDPOINT and the proxy.", inner);

    [GeneratedRegex("""<([^<>]+)>\s*;[^,<]*\brel="?next"?""")]
    private static partial Regex NextPattern();
}
