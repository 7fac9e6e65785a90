using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>The names that a request may have in <c>model</c>: the model's own, and those of its adapters.</summary>
internal static class ServedModels
{
    /// <summary>The model's own name: its id on the Hub, or its folder's name.</summary>
    public static string NameOf(DiffusionGemmaChatClient client) =>
        client.GetService<ChatClientMetadata>()?.DefaultModelId ?? "diffusiongemma";

    /// <summary>The model's own name, then the adapters'.</summary>
    public static IReadOnlyList<string> Names(DiffusionGemmaChatClient client) =>
        [NameOf(client), .. client.Adapters.Keys.Where(name => name != NameOf(client)).Order(StringComparer.Ordinal)];

    public static bool Has(DiffusionGemmaChatClient client, string name) => name == NameOf(client) || client.Adapters.ContainsKey(name);

    /// <summary>The <see cref="ChatOptions.ModelId"/> that a name stands for; null: the client's own.</summary>
    /// <exception cref="OpenAIError">There is no such model.</exception>
    public static string? ModelId(DiffusionGemmaChatClient client, string name) =>
        name == NameOf(client) ? null : client.Adapters.ContainsKey(name) ? name : throw NotFound(client, name);

    public static OpenAIError NotFound(DiffusionGemmaChatClient client, string name) => new(
        StatusCodes.Status404NotFound,
        $"There is no model '{name}': this server has {string.Join(", ", Names(client).Select(known => $"'{known}'"))}.", "model",
        code: "model_not_found");
}
