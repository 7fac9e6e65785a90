using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>
/// <c>GET /runs</c>, <c>GET /runs/{name}</c> and <c>GET /runs/{name}/answers</c>: figures of training runs, and the answers of their
/// evaluations, while they train and after.
/// </summary>
internal sealed class RunsEndpoint(string root)
{
    private readonly RunFolders _runs = new(root);

    public IResult List() => Results.Json(new JsonObject
    {
        ["runs"] = new JsonArray([.. _runs.Names().Select(name => (JsonNode)name)]),
    });

    /// <param name="name">One of the list.</param>
    /// <param name="known">Steps that the caller has already; null: none.</param>
    public IResult Find(string name, int? known)
    {
        if (known < 0) return OpenAIError.BadRequest("known", "'known' is below 0.").ToResult();
        return _runs.Folder(name) is { } folder ? Results.Json(RunTables.Read(folder, known ?? 0)) : NotFound(name);
    }

    /// <param name="name">One of the list.</param>
    /// <param name="step">Steps before the evaluation.</param>
    public IResult Answers(string name, int step)
    {
        if (_runs.Folder(name) is not { } folder) return NotFound(name);
        return Results.Json(new JsonObject { ["step"] = step, ["answers"] = RunTables.Answers(folder, step) });
    }

    private static IResult NotFound(string name) => new OpenAIError(
        StatusCodes.Status404NotFound, $"There is no run '{name}': GET /runs lists them.", "name", code: "run_not_found").ToResult();
}
