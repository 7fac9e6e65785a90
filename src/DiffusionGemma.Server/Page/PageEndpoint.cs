using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace DiffusionGemma;

/// <summary>Serves the page: files of this assembly, and nothing from other hosts.</summary>
internal static class PageEndpoint
{
    /// <summary>No inline code, no other hosts, no frames: a script in an answer stays text even if it became markup by mistake.</summary>
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly (string Path, string File, string Type)[] Files =
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/chart.js", "chart.js", "text/javascript; charset=utf-8"),
        ("/runs.js", "runs.js", "text/javascript; charset=utf-8"),
    ];

    /// <param name="endpoints">Where the page goes.</param>
    /// <param name="asksForKey">True where the page asks for the key before its first request.</param>
    /// <param name="hasRuns">True where the page shows training runs.</param>
    public static void Map(IEndpointRouteBuilder endpoints, bool asksForKey, bool hasRuns)
    {
        foreach ((string path, string file, string type) in Files)
        {
            byte[] content = Read(file);
            endpoints.MapGet(path, (HttpContext context) => Answer(context, content, type));
        }
        endpoints.MapGet("/page.json", () => Results.Json(new { asksForKey, hasRuns }));
    }

    private static IResult Answer(HttpContext context, byte[] content, string type)
    {
        IHeaderDictionary headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-cache";
        return Results.Bytes(content, type);
    }

    private static byte[] Read(string file)
    {
        using Stream stream = typeof(PageEndpoint).Assembly.GetManifestResourceStream($"Page/{file}")
            ?? throw new InvalidOperationException($"The assembly lacks Page/{file}.");
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }
}
