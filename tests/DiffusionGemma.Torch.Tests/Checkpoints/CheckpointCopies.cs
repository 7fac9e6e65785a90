using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Copies of small checkpoints that tests may damage.</summary>
internal static class CheckpointCopies
{
    public static TemporaryFolder Of(string name)
    {
        var folder = new TemporaryFolder(name);
        foreach (string path in Directory.GetFiles(Fixtures.Checkpoint(name)))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        return folder;
    }

    /// <summary>Copies a checkpoint of one file, with changed tensors.</summary>
    public static TemporaryFolder With(string name, Action<Dictionary<string, Tensor>> edit)
    {
        TemporaryFolder folder = Of(name);
        using var scope = NewDisposeScope();
        string path = folder.File("model.safetensors");
        Dictionary<string, Tensor> tensors;
        using (SafetensorsFile file = SafetensorsFile.Open(path))
            tensors = file.Tensors.Keys.ToDictionary(key => key, key => file.Read(key));
        edit(tensors);
        SafetensorsFile.Write(path, tensors, new Dictionary<string, string> { ["format"] = "pt" });
        return folder;
    }
}
