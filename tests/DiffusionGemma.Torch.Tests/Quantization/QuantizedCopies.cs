using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Copies of quantised folders that tests may damage.</summary>
internal static class QuantizedCopies
{
    /// <summary>Copies a folder without the expected values, with a changed config.json.</summary>
    public static TemporaryFolder With(string form, Action<JsonObject>? config = null, Action<Dictionary<string, Tensor>>? tensors = null)
    {
        TemporaryFolder folder = Fixtures.Temporary($"quantized-{form}");
        foreach (string path in Directory.GetFiles(Fixtures.Path("quantized", form)).Where(p => !p.EndsWith("expected.safetensors")))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        if (config is not null)
        {
            JsonObject root = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!.AsObject();
            config(root);
            File.WriteAllText(folder.File("config.json"), root.ToJsonString());
        }
        if (tensors is not null)
        {
            using var scope = NewDisposeScope();
            string path = folder.File("model.safetensors");
            Dictionary<string, Tensor> all;
            using (SafetensorsFile file = SafetensorsFile.Open(path))
                all = file.Tensors.Keys.ToDictionary(key => key, key => file.Read(key));
            tensors(all);
            SafetensorsFile.Write(path, all, new Dictionary<string, string> { ["format"] = "pt" });
        }
        return folder;
    }

    /// <summary>Sets an option of `quantization_config`, by its path with dots.</summary>
    public static void Set(JsonObject config, string option, string value)
    {
        string[] path = option.Split('.');
        JsonNode at = config["quantization_config"]!;
        foreach (string part in path[..^1]) at = at[part]!;
        at[path[^1]] = JsonNode.Parse(value);
    }

    /// <summary>Gives a tensor another name of the same length, in the file's header.</summary>
    public static void Rename(TemporaryFolder folder, string from, string to)
    {
        byte[] bytes = File.ReadAllBytes(folder.File("model.safetensors"));
        int at = bytes.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(from));
        Assert.True(at > 0 && from.Length == to.Length);
        System.Text.Encoding.UTF8.GetBytes(to).CopyTo(bytes, at);
        File.WriteAllBytes(folder.File("model.safetensors"), bytes);
    }
}
