using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary><c>GET /v1/models</c>: the model of the service, and its adapters.</summary>
internal sealed class ModelsEndpoint(DiffusionGemmaService service)
{
    private readonly long _created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    public async Task<IResult> List(CancellationToken cancellation) => await ClientAsync(cancellation).ConfigureAwait(false) is { } client
        ? Results.Json(new JsonObject
        {
            ["object"] = "list",
            ["data"] = new JsonArray([.. ServedModels.Names(client).Select(name => (JsonNode)Describe(client, name))]),
        })
        : NotLoaded();

    public async Task<IResult> Find(string id, CancellationToken cancellation)
    {
        if (await ClientAsync(cancellation).ConfigureAwait(false) is not { } client) return NotLoaded();
        return ServedModels.Has(client, id) ? Results.Json(Describe(client, id)) : ServedModels.NotFound(client, id).ToResult();
    }

    /// <summary>An adapter's <c>parent</c> is the model that it is added to.</summary>
    private JsonObject Describe(DiffusionGemmaChatClient client, string name)
    {
        string own = ServedModels.NameOf(client);
        return new JsonObject
        {
            ["id"] = name, ["object"] = "model", ["created"] = _created, ["owned_by"] = "diffusiongemma",
            ["parent"] = name == own ? null : own,
        };
    }

    private async Task<DiffusionGemmaChatClient?> ClientAsync(CancellationToken cancellation)
    {
        try
        {
            return await service.GetClientAsync(cancellation).ConfigureAwait(false);
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
