using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Copies of adapter folders in tests/fixtures with changes.</summary>
internal static class ChangedAdapter
{
    /// <param name="kind">The folder's name.</param>
    /// <param name="config">Changes adapter_config.json.</param>
    /// <param name="tensors">Changes the tensors.</param>
    public static TemporaryFolder Of(
        string kind, Action<JsonObject>? config = null, Action<Dictionary<string, Tensor>>? tensors = null) =>
        Of(Fixtures.Path("adapters", kind), config, tensors, Fixtures.Temporary(kind));

    /// <summary>Copies another folder.</summary>
    public static TemporaryFolder OfFolder(
        string source, Action<JsonObject>? config = null, Action<Dictionary<string, Tensor>>? tensors = null) =>
        Of(source, config, tensors, Fixtures.Temporary("adapter"));

    private static TemporaryFolder Of(
        string source, Action<JsonObject>? config, Action<Dictionary<string, Tensor>>? tensors, TemporaryFolder folder)
    {
        var root = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(source, "adapter_config.json")))!;
        config?.Invoke(root);
        File.WriteAllText(folder.File("adapter_config.json"), root.ToJsonString());
        using var scope = NewDisposeScope();
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "adapter_model.safetensors"));
        var all = file.Tensors.Keys.ToDictionary(name => name, name => file.Read(name));
        tensors?.Invoke(all);
        SafetensorsFile.Write(folder.File("adapter_model.safetensors"), all, new Dictionary<string, string> { ["format"] = "pt" });
        return folder;
    }
}
