using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace DiffusionGemma;

/// <summary>
/// <c>POST /v1/load_lora_adapter</c> and <c>POST /v1/unload_lora_adapter</c>, as vLLM has them: adapters come and go while the model
/// answers. What is running with one that goes ends as it began.
/// </summary>
internal sealed class AdaptersEndpoint
{
    private const string Name = "lora_name", Folder = "lora_path";
    private const int MaxName = 200;

    private readonly DiffusionGemmaService _service;
    private readonly DiffusionGemmaServerOptions _options;
    private readonly ConcurrentDictionary<string, LoraAdapter> _loaded = [];
    private readonly SemaphoreSlim _one = new(1);

    /// <param name="service">The model.</param>
    /// <param name="options">Limits.</param>
    /// <param name="lifetime">Frees the adapters in the end.</param>
    public AdaptersEndpoint(DiffusionGemmaService service, DiffusionGemmaServerOptions options, IHostApplicationLifetime lifetime)
    {
        (_service, _options) = (service, options);
        lifetime.ApplicationStopped.Register(() =>
        {
            foreach (LoraAdapter adapter in _loaded.Values) adapter.Dispose();
        });
    }

    public Task<IResult> Load(HttpContext context) => ChangeAsync(context, needsFolder: true, async (client, name, folder) =>
    {
        if (ServedModels.Has(client, name))
            throw OpenAIError.BadRequest(Name, $"'{name}' is served already: unload it first, or take another name.");
        DiffusionGemmaModel model = client.GetService<GenerationQueue>()!.Model;
        string path = HubRepository.IsId(folder!)
            ? await HubRepository.DownloadAsync(folder!, cancellation: context.RequestAborted).ConfigureAwait(false) : folder!;
        client.Adapters[name] = _loaded[name] = LoraAdapter.Load(path, model);
        return new JsonObject { ["id"] = name, ["object"] = "model" };
    });

    public Task<IResult> Unload(HttpContext context) => ChangeAsync(context, needsFolder: false, (client, name, _) =>
    {
        if (!client.Adapters.Remove(name)) throw ServedModels.NotFound(client, name);
        if (_loaded.TryRemove(name, out LoraAdapter? adapter)) adapter.Dispose();
        return Task.FromResult(new JsonObject { ["id"] = name, ["object"] = "model", ["deleted"] = true });
    });

    /// <summary>Reads a body of the name, and of the folder where it is needed; one change at a time.</summary>
    private async Task<IResult> ChangeAsync(
        HttpContext context, bool needsFolder, Func<DiffusionGemmaChatClient, string, string?, Task<JsonObject>> change)
    {
        CancellationToken cancellation = context.RequestAborted;
        try
        {
            using JsonDocument body = await RequestBody.ReadAsync(context.Request, _options.MaxBodyBytes, cancellation)
                .ConfigureAwait(false);
            JsonElement members = body.RootElement.RequireObject("body");
            members.RequireKnown("", needsFolder ? [Name, Folder] : [Name]);
            string name = Text(members, Name);
            if (name.Length > MaxName) throw OpenAIError.BadRequest(Name, $"'{Name}' has more than {MaxName} characters.");
            string? folder = needsFolder ? Text(members, Folder) : null;
            DiffusionGemmaChatClient client = await _service.GetClientAsync(cancellation).ConfigureAwait(false);
            await _one.WaitAsync(cancellation).ConfigureAwait(false);
            try
            {
                // Reading weights would hold up the server's own threads.
                return Results.Json(await Task.Run(() => change(client, name, folder), cancellation).ConfigureAwait(false));
            }
            finally
            {
                _one.Release();
            }
        }
        catch (OpenAIError error)
        {
            return error.ToResult();
        }
        catch (Exception error) when (error is AdapterException or HubException or IOException or ArgumentException)
        {
            return OpenAIError.BadRequest(Folder, error.Message).ToResult();
        }
    }

    private static string Text(JsonElement members, string name)
    {
        string text = (members.Find(name) ?? throw OpenAIError.BadRequest(name, $"'{name}' is missing.")).RequireText(name);
        return string.IsNullOrWhiteSpace(text) ? throw OpenAIError.BadRequest(name, $"'{name}' is empty.") : text;
    }
}
