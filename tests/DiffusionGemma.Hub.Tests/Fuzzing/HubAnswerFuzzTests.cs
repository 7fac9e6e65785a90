using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

public sealed class HubAnswerFuzzTests
{
    private const string Commit = "0123456789012345678901234567890123456789";

    private static readonly string Revision =
        JsonSerializer.Serialize(new { id = "org/tiny", sha = Commit, siblings = Array.Empty<string>() });

    private static readonly string Tree = JsonSerializer.Serialize(new object[]
    {
        new { type = "file", oid = Commit, size = 19, path = "config.json" },
        new { type = "directory", oid = Commit, size = 0, path = "folder" },
        new { type = "file", oid = Commit, size = 7, path = "folder/notes.txt" },
        new { type = "file", oid = Commit, size = 500, path = "model.safetensors", lfs = new { oid = new string('a', 64), size = 500 } },
    });

    private static readonly string[] Headers =
    [
        "", "1", "-1", "99999999999999999999", "\"" + Commit + "\"", "\"../../x\"", "W/\"a\"", "<http://127.0.0.1/next>; rel=\"next\"",
        "</etc/passwd>; rel=next", "<file:///etc/passwd>; rel=\"next\"", "<>; rel=\"next\"", "bytes 5-1/0", "EntryNotFound",
        "file:///etc/passwd", "//", "http://[", Commit,
    ];

    private static readonly string[] Names =
    [
        "X-Repo-Commit", "ETag", "X-Linked-Etag", "X-Linked-Size", "Link", "Location", "X-Error-Code", "X-Error-Message",
        "Retry-After",
    ];

    private static readonly int[] Statuses = [200, 200, 200, 200, 206, 301, 302, 307, 308, 400, 401, 403, 404, 416, 429, 500, 503];

    /// <summary>Whatever a server answers, a download ends with a file or the typed error, and nothing lies outside the cache.</summary>
    [Fact]
    public async Task BrokenAnswersFailOnlyWithTheTypedError()
    {
        await using LoopbackHub hub = await LoopbackHub.StartTinyAsync();
        using TemporaryFolder home = Fixtures.Temporary();
        string outer = Directory.CreateDirectory(home.File("outer")).FullName;
        Random answers = new(0);
        hub.Intercept = async (context, request) =>
        {
            int status = Statuses[answers.Next(Statuses.Length)];
            context.Response.StatusCode = status;
            context.Response.Headers["X-Repo-Commit"] = Commit;
            context.Response.Headers.ETag = "\"" + Commit + "\"";
            for (int n = answers.Next(3); n > 0; n--)
                context.Response.Headers[Names[answers.Next(Names.Length)]] = Headers[answers.Next(Headers.Length)];
            if (request.Method == "HEAD") return true;
            string original = request.Path.Contains("/revision/") ? Revision : Tree;
            byte[] body = answers.Next(4) == 0 ? Encoding.UTF8.GetBytes(original) : Mutations.OfJsonText(answers, original);
            if (status is not (304 or 204)) await context.Response.Body.WriteAsync(body);
            return true;
        };
        int number = 0;
        var fuzzer = new MutationFuzzer
        {
            Name = "hub", Mutations = 600,                                                       // several requests over a socket each
            FixedBytes = 256 << 20,                                      // pages of a listing are asked for till they repeat
            Make = random => BitConverter.GetBytes(random.Next()),
            Read = bytes =>
            {
                answers = new Random(BitConverter.ToInt32(bytes));
                string cache = Path.Combine(outer, $"cache-{number++ % 8}");
                HubOptions options = hub.Options(home) with { CacheFolder = cache, MaxRetries = 1, Timeout = TimeSpan.FromMinutes(2) };
                try
                {
                    if (answers.Next(2) == 0) HubRepository.DownloadAsync("org/tiny", options).GetAwaiter().GetResult();
                    else HubRepository.DownloadFileAsync(HubId.Parse("org/tiny"), "config.json", options).GetAwaiter().GetResult();
                }
                catch (HubException e)
                {
                    Assert.DoesNotContain(LoopbackHub.Token, e.ToString(), StringComparison.Ordinal);
                }
                Assert.All(Directory.EnumerateFileSystemEntries(outer), path => Assert.StartsWith("cache-", Path.GetFileName(path)));
                Assert.Equal(["outer"], Directory.EnumerateFileSystemEntries(home.Path).Select(Path.GetFileName));
            },
        };
        await Task.Run(fuzzer.Run);
    }
}
