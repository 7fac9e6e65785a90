using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary><c>GET /health</c>, open to all: 200 where the model answers, 503 where it does not yet, or no longer.</summary>
internal static class HealthEndpoint
{
    public static IResult Answer(HttpContext context, DiffusionGemmaService service, RequestGate gate)
    {
        context.Response.Headers.CacheControl = "no-store";
        GenerationQueueStatus? queue = service.Client?.GetService<GenerationQueue>()?.Status;
        string status = gate.IsStopping ? "stopping"
            : service.LoadFailure is not null || queue?.Failure is not null ? "failed"
            : queue is null ? "loading" : "ready";
        var body = new JsonObject { ["status"] = status, ["requests"] = gate.Inside };
        if (queue is not null)
        {
            body["waiting"] = queue.Waiting;
            body["running"] = queue.Running;
            body["seconds_since_last_pass"] = queue.SinceLastPass?.TotalSeconds;
        }
        return Results.Json(body, statusCode: status == "ready" ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}
