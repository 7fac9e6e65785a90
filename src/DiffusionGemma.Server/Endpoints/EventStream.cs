using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DiffusionGemma;

/// <summary>Writes server-sent events; those of several choices may come from several threads.</summary>
internal sealed class EventStream(HttpResponse response, CancellationToken cancellation) : IDisposable
{
    private readonly SemaphoreSlim _one = new(1);

    /// <summary>Sends the headers; a fault after them is an event.</summary>
    public Task BeginAsync()
    {
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-store";
        response.Headers["X-Accel-Buffering"] = "no";                           // a proxy may not keep events back
        response.HttpContext.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        return response.StartAsync(cancellation);
    }

    /// <summary>Sends one event.</summary>
    /// <param name="data">Its data.</param>
    /// <param name="name">Its name; null: the protocol's own events have none.</param>
    public Task WriteAsync(JsonNode data, string? name = null) =>
        WriteAsync((name is null ? "" : $"event: {name}\n") + $"data: {data.ToJsonString()}\n\n");

    /// <summary>Sends the end.</summary>
    public Task EndAsync() => WriteAsync("data: [DONE]\n\n");

    public void Dispose() => _one.Dispose();

    private async Task WriteAsync(string text)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await response.WriteAsync(text, cancellation).ConfigureAwait(false);
            await response.Body.FlushAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            _one.Release();
        }
    }
}
