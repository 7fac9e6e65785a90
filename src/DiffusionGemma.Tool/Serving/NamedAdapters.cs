using Microsoft.Extensions.AI;

namespace DiffusionGemma;

/// <summary>Adapters that a server has beside its model, and frees in the end.</summary>
internal sealed class NamedAdapters : IDisposable
{
    private const string ConfigFile = "adapter_config.json", BaseSuffix = "-base";

    private readonly List<LoraAdapter> _loaded = [];

    /// <summary>Reads <c>NAME=FOLDER</c>.</summary>
    /// <exception cref="ToolException">One is none, or a name comes twice.</exception>
    public static IReadOnlyDictionary<string, string> Parse(IEnumerable<string> texts)
    {
        var adapters = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string text in texts)
        {
            string[] parts = text.Split('=', 2, StringSplitOptions.TrimEntries);
            if (parts.Length < 2 || parts.Any(part => part.Length == 0))
                throw new ToolException(ExitCode.Usage, $"--adapter '{text}' is not NAME=FOLDER.");
            if (!adapters.TryAdd(parts[0], parts[1])) throw new ToolException(ExitCode.Usage, $"--adapter {parts[0]} comes twice.");
        }
        return adapters;
    }

    /// <summary>Finds the folders in PEFT's format; what is on the Hub is downloaded.</summary>
    /// <exception cref="ToolException">There is none.</exception>
    public static async Task<IReadOnlyDictionary<string, string>> FindAsync(
        IReadOnlyDictionary<string, string> adapters, CommandContext context)
    {
        var folders = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string name, string text) in adapters)
        {
            string folder = HubRepository.IsId(text) ? await Downloads.CheckpointAsync(text, context) : text;
            folders[name] = new[] { folder, Path.Combine(folder, FineTuneRecipe.AdapterFolderName) }
                .FirstOrDefault(one => File.Exists(Path.Combine(one, ConfigFile))) ?? throw new ToolException(
                    ExitCode.Checkpoint, $"--adapter {name}={text}: there is no {ConfigFile} in it.{DataFiles.Nearest(folder)}");
        }
        return folders;
    }

    /// <summary>Loads adapters beside a model; a model with an adapter of its own is served without it too.</summary>
    /// <param name="client">Receives them.</param>
    /// <param name="answers">The model.</param>
    /// <param name="folders">In PEFT's format.</param>
    public void Load(DiffusionGemmaChatClient client, DiffusionGemmaTransformer answers, IReadOnlyDictionary<string, string> folders)
    {
        if (answers.Model.Adapter is not null)
            client.Adapters[$"{client.GetService<ChatClientMetadata>()!.DefaultModelId}{BaseSuffix}"] = LoraAdapter.None;
        foreach ((string name, string folder) in folders)
        {
            if (client.Adapters.ContainsKey(name))
                throw new ToolException(
                    ExitCode.Usage, $"--adapter {name}: the model without its adapter is called so; take another name, or --name.");
            LoraAdapter adapter = LoraAdapter.Load(folder, answers.Model);
            _loaded.Add(adapter);
            client.Adapters[name] = adapter;
        }
    }

    public void Dispose()
    {
        foreach (LoraAdapter adapter in _loaded) adapter.Dispose();
    }
}
