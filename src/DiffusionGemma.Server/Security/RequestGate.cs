using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace DiffusionGemma;

/// <summary>Limits the requests at one time, and takes none while the application stops: running answers then end.</summary>
internal sealed class RequestGate(DiffusionGemmaServerOptions options, IHostApplicationLifetime lifetime)
{
    private int _inside;

    /// <summary>Requests that are answered or wait.</summary>
    public int Inside => Volatile.Read(ref _inside);

    public bool IsStopping => lifetime.ApplicationStopping.IsCancellationRequested;

    /// <summary>Takes a request in; disposing what is returned lets it out.</summary>
    /// <exception cref="OpenAIError">There are too many requests, or the application stops.</exception>
    public IDisposable Enter(HttpResponse response)
    {
        if (IsStopping)
        {
            response.Headers.Connection = "close";
            throw new OpenAIError(
                StatusCodes.Status503ServiceUnavailable, "The server is stopping.", type: "server_error", code: "server_stopping");
        }
        if (Interlocked.Increment(ref _inside) <= options.MaxRequests) return new Leave(this);
        Interlocked.Decrement(ref _inside);
        response.Headers.RetryAfter = "1";
        throw new OpenAIError(
            StatusCodes.Status429TooManyRequests, $"{options.MaxRequests} requests are being answered or wait: ask again later.",
            type: "rate_limit_error", code: "rate_limit_exceeded");
    }

    private sealed class Leave(RequestGate gate) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0) Interlocked.Decrement(ref gate._inside);
        }
    }
}
