using System.Text.Json;

namespace DiffusionGemma;

/// <summary>A model that a command line names: a saved pipeline, a checkpoint, or an adapter with its base.</summary>
/// <param name="Zip">The saved pipeline; null: none.</param>
/// <param name="Checkpoint">The checkpoint's folder; null where <paramref name="Zip"/> names its own.</param>
/// <param name="Adapter">The adapter's folder in PEFT's format; null: none.</param>
internal sealed record ModelReference(string? Zip, string? Checkpoint, string? Adapter)
{
    public const string Help =
        "A zip that training saved, the folder of a run, a checkpoint's folder or id on the Hub, or an adapter's folder in PEFT's format.";

    private const string AdapterFile = "adapter_config.json", ConfigFile = "config.json";

    /// <summary>Finds what a text names; what is on the Hub is downloaded.</summary>
    /// <exception cref="ToolException">There is no such model.</exception>
    public static async Task<ModelReference> FindAsync(string text, CommandContext context)
    {
        if (HubRepository.IsId(text)) text = await Downloads.CheckpointAsync(text, context);
        if (File.Exists(text)) return new ModelReference(text, null, null);
        if (!Directory.Exists(text)) throw new ToolException(ExitCode.Checkpoint,
            $"There is no model at {text}: name a zip, a folder, or an id on the Hub (org/name).{DataFiles.Nearest(text)}");
        string zip = Path.Combine(text, FineTuneRecipe.ModelFileName);
        if (File.Exists(zip)) return new ModelReference(zip, null, null);
        if (File.Exists(Path.Combine(text, AdapterFile))) return new ModelReference(null, await BaseAsync(text, context), text);
        if (File.Exists(Path.Combine(text, ConfigFile))) return new ModelReference(null, text, null);
        throw new ToolException(ExitCode.Checkpoint,
            $"{text} holds no {FineTuneRecipe.ModelFileName}, no {AdapterFile} and no {ConfigFile}: it is not a model's folder.");
    }

    /// <summary>The checkpoint that an adapter was trained on, as its configuration names it.</summary>
    private static async Task<string> BaseAsync(string adapter, CommandContext context)
    {
        string path = Path.Combine(adapter, AdapterFile);
        string? name, revision;
        try
        {
            using JsonDocument config = JsonDocument.Parse(await File.ReadAllTextAsync(path));
            name = Text(config.RootElement, "base_model_name_or_path");
            revision = Text(config.RootElement, "revision");
        }
        // An InvalidOperationException: no object, or half a surrogate pair.
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new ToolException(ExitCode.Checkpoint, $"{path} is not JSON that can be read ({error.Message}).", error);
        }
        if (string.IsNullOrEmpty(name))
        {
            throw new ToolException(
                ExitCode.Checkpoint, $"{path} names no base_model_name_or_path: write the checkpoint's folder or id there.");
        }
        if (HubRepository.IsId(name)) return await Downloads.CheckpointAsync(revision is null ? name : $"{name}@{revision}", context);
        if (Directory.Exists(name)) return name;
        throw new ToolException(ExitCode.Checkpoint,
            $"{path}: the checkpoint {name}, which this adapter was trained on, is not there. Put it back, or correct "
                + "base_model_name_or_path.");
    }

    private static string? Text(JsonElement config, string key) =>
        config.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
