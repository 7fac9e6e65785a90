using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DiffusionGemma;

/// <summary>
/// <c>POST /v1/load_lora_adapter</c> and <c>POST /v1/unload_lora_adapter</c>, as vLLM has them: adapters come and go while the model
/// answers. What is running with one that goes ends as it began.
/// </summary>
internal sealed partial class AdaptersEndpoint
{
    private const string Name = "lora_name", Folder = "lora_path";
    private const int MaxName = 200;

    private readonly DiffusionGemmaService _service;
    private readonly DiffusionGemmaServerOptions _options;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<string, LoraAdapter> _loaded = new(StringComparer.Ordinal);
    private readonly Lock _one = new();

    /// <param name="service">The model.</param>
    /// <param name="options">Limits.</param>
    /// <param name="lifetime">Frees the adapters in the end.</param>
    /// <param name="logger">Told what of an adapter has no effect.</param>
    public AdaptersEndpoint(
        DiffusionGemmaService service, DiffusionGemmaServerOptions options, IHostApplicationLifetime lifetime, ILogger logger)
    {
        (_service, _options, _logger) = (service, options, logger);
        lifetime.ApplicationStopped.Register(() =>
        {
            foreach (LoraAdapter adapter in _loaded.Values) adapter.Dispose();
        });
    }

    // The token keeps these methods from being taken for request delegates, whose results nobody writes.
    public Task<IResult> Load(HttpContext context, CancellationToken cancellation) =>
        ChangeAsync(context, [Name, Folder], cancellation, (client, name, folder) =>
        {
            if (ServedModels.Has(client, name))
                throw OpenAIError.BadRequest(Name, $"'{name}' is served already: unload it first, or take another name.");
            LoraAdapter adapter = LoraAdapter.Load(folder!, client.GetService<GenerationQueue>()!.Model);
            foreach (string notice in adapter.Notices) LogNotice(name, notice);
            client.Adapters[name] = _loaded[name] = adapter;
            return new JsonObject { ["id"] = name, ["object"] = "model" };
        });

    public Task<IResult> Unload(HttpContext context, CancellationToken cancellation) =>
        ChangeAsync(context, [Name], cancellation, (client, name, _) =>
        {
            if (!client.Adapters.Remove(name)) throw ServedModels.NotFound(client, name);
            if (_loaded.TryRemove(name, out LoraAdapter? adapter)) adapter.Dispose();
            return new JsonObject { ["id"] = name, ["object"] = "model", ["deleted"] = true };
        });

    /// <summary>Reads a body of some members, all needed, and makes the change; one at a time.</summary>
    private async Task<IResult> ChangeAsync(
        HttpContext context, string[] members, CancellationToken cancellation,
        Func<DiffusionGemmaChatClient, string, string?, JsonObject> change)
    {
        try
        {
            using JsonDocument body = await RequestBody.ReadAsync(context.Request, _options.MaxBodyBytes, cancellation)
                .ConfigureAwait(false);
            JsonElement root = body.RootElement.RequireObject("body");
            root.RequireKnown("", members);
            string name = Text(root, Name);
            if (name.Length > MaxName) throw OpenAIError.BadRequest(Name, $"'{Name}' has more than {MaxName} characters.");
            string? folder = members.Contains(Folder) ? Text(root, Folder) : null;
            DiffusionGemmaChatClient client = await _service.GetClientAsync(cancellation).ConfigureAwait(false);
            if (folder is not null && HubRepository.IsId(folder))
                folder = await HubRepository.DownloadAsync(folder, cancellation: cancellation).ConfigureAwait(false);
            // Reading weights would hold up the server's own threads.
            return Results.Json(await Task.Run(() => Change(client, name, folder), cancellation).ConfigureAwait(false));
        }
        catch (OpenAIError error)
        {
            return error.ToResult();
        }
        catch (Exception error) when (error is AdapterException or HubException or IOException or ArgumentException)
        {
            return OpenAIError.BadRequest(Folder, error.Message).ToResult();
        }

        JsonObject Change(DiffusionGemmaChatClient client, string name, string? folder)
        {
            lock (_one) return change(client, name, folder);
        }
    }

    [LoggerMessage(10, LogLevel.Warning, "{Model}: {Notice}")]
    private partial void LogNotice(string model, string notice);

    private static string Text(JsonElement members, string name)
    {
        string text = (members.Find(name) ?? throw OpenAIError.BadRequest(name, $"'{name}' is missing.")).RequireText(name);
        return string.IsNullOrWhiteSpace(text) ? throw OpenAIError.BadRequest(name, $"'{name}' is empty.") : text;
    }
}
