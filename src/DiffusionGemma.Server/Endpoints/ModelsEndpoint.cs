using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary><c>GET /v1/models</c>: the one model of the service.</summary>
internal sealed class ModelsEndpoint(DiffusionGemmaService service)
{
    private readonly long _created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    /// <summary>The model's name in requests and answers: its id on the Hub, or its folder's name.</summary>
    public static string NameOf(DiffusionGemmaChatClient client) =>
        client.GetService<ChatClientMetadata>()?.DefaultModelId ?? "diffusiongemma";

    public async Task<IResult> List(CancellationToken cancellation) => await DescribeAsync(cancellation).ConfigureAwait(false) is { } model
        ? Results.Json(new JsonObject { ["object"] = "list", ["data"] = new JsonArray(model) }) : NotLoaded();

    public async Task<IResult> Find(string id, CancellationToken cancellation)
    {
        if (await DescribeAsync(cancellation).ConfigureAwait(false) is not { } model) return NotLoaded();
        return id == (string?)model["id"] ? Results.Json(model) : new OpenAIError(
            StatusCodes.Status404NotFound, $"There is no model '{id}': this server has '{model["id"]}'.", "model", code: "model_not_found")
            .ToResult();
    }

    private async Task<JsonObject?> DescribeAsync(CancellationToken cancellation)
    {
        try
        {
            DiffusionGemmaChatClient client = await service.GetClientAsync(cancellation).ConfigureAwait(false);
            return new JsonObject
            {
                ["id"] = NameOf(client), ["object"] = "model", ["created"] = _created, ["owned_by"] = "diffusiongemma",
            };
        }
        catch (Exception) when (!cancellation.IsCancellationRequested)
        {
            return null;                                                        // the service has logged it
        }
    }

    private static IResult NotLoaded() => new OpenAIError(
        StatusCodes.Status503ServiceUnavailable, "The model could not be loaded; the server's log says why.", type: "server_error",
        code: "model_not_loaded").ToResult();
}
