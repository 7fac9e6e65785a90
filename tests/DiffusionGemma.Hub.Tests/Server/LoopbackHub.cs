using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>A Hub on the loopback with a second host for large files, which speaks the protocol and fails on demand.</summary>
internal sealed class LoopbackHub : IAsyncDisposable
{
    public const string Token = "hf_TheTokenThatNobodyMaySee";

    private readonly WebApplication _app;
    private string? _cache;

    private LoopbackHub(WebApplication app, int port, int secondPort)
    {
        _app = app;
        Endpoint = new Uri($"http://127.0.0.1:{port}");
        SecondHost = new Uri($"http://localhost:{secondPort}");
    }

    public Uri Endpoint { get; }

    public Uri SecondHost { get; }

    public List<ServedRepository> Models { get; } = [];

    public List<ServedRepository> Datasets { get; } = [];

    public ConcurrentQueue<HubRequest> Requests { get; } = new();

    /// <summary>Answers in the server's place, or returns false.</summary>
    public Func<HttpContext, HubRequest, Task<bool>>? Intercept { get; set; }

    public IEnumerable<HubRequest> Gets => Requests.Where(request => request.Method == "GET" && !request.Path.StartsWith("/api/"));

    public static async Task<LoopbackHub> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        WebApplication app = builder.Build();
        LoopbackHub? hub = null;
        app.Run(context => hub!.AnswerAsync(context));
        await app.StartAsync();
        int[] ports = [.. app.Urls.Select(url => new Uri(url).Port)];
        return hub = new LoopbackHub(app, ports[0], ports[1]);
    }

    /// <summary>A server with a model org/tiny of a few small files and one large one of a megabyte and a half.</summary>
    public static async Task<LoopbackHub> StartTinyAsync()
    {
        LoopbackHub hub = await StartAsync();
        var model = new ServedRepository();
        model.Add("config.json", """{"model_type":"tiny"}""");
        model.Add("folder/deeper/notes.txt", "Notes.\n");
        model.Add(".gitattributes", "*.safetensors filter=lfs\n");
        model.AddLarge("model.safetensors", 1_500_000);
        hub.Models.Add(model);
        return hub;
    }

    public ServedRepository Tiny => Models.Single(model => model.Id == "org/tiny");

    public HubOptions Options(TemporaryFolder home)
    {
        _cache = home.File("hub");
        return new HubOptions { Endpoint = Endpoint, CacheFolder = _cache, Token = Token, Offline = false, Clock = new InstantClock() };
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    /// <summary>The first bytes of a file, and then no more: the connection is cut.</summary>
    public async Task CutAsync(HttpContext context, byte[] file, int from, int count)
    {
        context.Response.ContentLength = file.Length - from;
        if (from > 0)
        {
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes {from}-{file.Length - 1}/{file.Length}";
        }
        await context.Response.Body.WriteAsync(file.AsMemory(from, count));
        await context.Response.Body.FlushAsync();
        // An abort may take away what is still on its way.
        await PartAsync(from + count);
        context.Abort();
    }

    /// <summary>Waits until the part of some blob in the cache has a length.</summary>
    public async Task PartAsync(long length)
    {
        for (int n = 0; n < 1200; n++)
        {
            if (Directory.EnumerateFiles(_cache!, "*.diffusiongemma.incomplete", SearchOption.AllDirectories)
                .Any(path => new FileInfo(path).Length == length))
                return;
            await Task.Delay(50);
        }
        throw new TimeoutException($"No part of a blob in {_cache} has {length} bytes.");
    }

    private async Task AnswerAsync(HttpContext context)
    {
        HttpRequest asked = context.Request;
        var request = new HubRequest(context.Connection.LocalPort == SecondHost.Port, asked.Method, asked.Path.Value! + asked.QueryString,
            (string?)asked.Headers.Authorization, (string?)asked.Headers.Range, (string?)asked.Headers.AcceptEncoding);
        Requests.Enqueue(request);
        if (Intercept is { } intercept && await intercept(context, request)) return;
        string[] parts = asked.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (request.SecondHost) await FileAsync(context, Find(Models.Concat(Datasets), $"{parts[1]}/{parts[2]}")!,
            string.Join('/', parts[3..]));
        else if (parts is ["api", "models", ..]) await ApiAsync(context, Models, parts[2..]);
        else if (parts is ["api", "datasets", ..]) await ApiAsync(context, Datasets, parts[2..]);
        else if (parts is ["datasets", ..]) await ResolveAsync(context, Datasets, parts[1..]);
        else await ResolveAsync(context, Models, parts);
    }

    private static ServedRepository? Find(IEnumerable<ServedRepository> repositories, string id) =>
        repositories.FirstOrDefault(model => model.Id == id);

    private static async Task ApiAsync(HttpContext context, List<ServedRepository> repositories, string[] parts)
    {
        string revision = Uri.UnescapeDataString(parts[3]);
        if (Find(repositories, $"{parts[0]}/{parts[1]}") is not { } repository) Fail(context, 404, "RepoNotFound", "Repository not found");
        else if (!Knows(repository, revision)) Fail(context, 404, "RevisionNotFound", $"Invalid rev id: {revision}");
        else if (parts[2] == "revision")
            await context.Response.WriteAsJsonAsync(new
            {
                id = repository.Id, sha = repository.Commit,
                siblings = repository.Files.Keys.Select(file => new { rfilename = file })
            });
        else
            await TreeAsync(context, repository);
    }

    private static async Task TreeAsync(HttpContext context, ServedRepository repository)
    {
        int start = int.TryParse(context.Request.Query["cursor"], out int cursor) ? cursor : 0;
        IEnumerable<object> folders = start > 0 ? [] : repository.Files.Keys.Where(file => file.Contains('/'))
            .Select(file => Path.GetDirectoryName(file)!)
            .Distinct().Select(folder => (object)new { type = "directory", oid = new string('0', 40), size = 0, path = folder });
        IEnumerable<object> files = repository.Files.Keys.Order(StringComparer.Ordinal).Skip(start).Take(repository.PageSize)
            .Select(file => repository.Large.Contains(file)
            ? (object)new
            {
                type = "file",
                oid = ServedRepository.GitHash([.. repository.Tag(file).Select(c => (byte)c)]),
                size = repository.Size(file),
                path = file,
                lfs = new { oid = repository.Tag(file), size = repository.Size(file), pointerSize = 130 },
            }
            : new { type = "file", oid = repository.Tag(file), size = repository.Size(file), path = file });
        if (start + (long)repository.PageSize < repository.Files.Count)
        {
            HttpRequest request = context.Request;
            string next = $"http://{request.Host}{request.Path}?recursive=true&expand=false&cursor={start + repository.PageSize}";
            context.Response.Headers.Link = $"<{next}>; rel=\"next\"";
        }
        await context.Response.WriteAsJsonAsync(folders.Concat(files), JsonSerializerOptions.Web);
    }

    private async Task ResolveAsync(HttpContext context, List<ServedRepository> repositories, string[] parts)
    {
        string file = string.Join('/', parts[4..]), revision = Uri.UnescapeDataString(parts[3]);
        if (Find(repositories, $"{parts[0]}/{parts[1]}") is not { } repository)
        {
            Fail(context, 404, "RepoNotFound", "Repository not found");
            return;
        }
        if (!Knows(repository, revision))
        {
            Fail(context, 404, "RevisionNotFound", $"Invalid rev id: {revision}");
            return;
        }
        context.Response.Headers["X-Repo-Commit"] = repository.Commit;
        if (!repository.Files.ContainsKey(file))
        {
            Fail(context, 404, "EntryNotFound", "Entry not found");
        }
        else if (repository.Large.Contains(file))
        {
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = $"{SecondHost.AbsoluteUri}cdn/{repository.Id}/{file}?signature=SecretSignature";
            context.Response.Headers["X-Linked-Size"] = $"{repository.Size(file)}";
            context.Response.Headers["X-Linked-Etag"] = $"\"{repository.Tag(file)}\"";
        }
        else
        {
            await FileAsync(context, repository, file);
        }
    }

    private static async Task FileAsync(HttpContext context, ServedRepository repository, string file)
    {
        byte[] bytes = repository.Files[file];
        context.Response.Headers.ETag = $"\"{repository.Tag(file)}\"";
        context.Response.Headers.AcceptRanges = "bytes";
        int from = 0;
        if (context.Request.Headers.Range is [{ } range])
        {
            from = int.Parse(range["bytes=".Length..^1]);
            if (from >= bytes.Length)
            {
                context.Response.StatusCode = 416;
                return;
            }
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes {from}-{bytes.Length - 1}/{bytes.Length}";
        }
        context.Response.ContentLength = bytes.Length - from;
        if (context.Request.Method == "GET") await context.Response.Body.WriteAsync(bytes.AsMemory(from));
    }

    private static bool Knows(ServedRepository repository, string revision) =>
        revision == repository.Commit || repository.Revisions.Contains(revision);

    public static void Fail(HttpContext context, int status, string code, string message)
    {
        context.Response.StatusCode = status;
        context.Response.Headers["X-Error-Code"] = code;
        context.Response.Headers["X-Error-Message"] = message;
    }
}
