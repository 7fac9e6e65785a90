using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Copies of the embedding table, which is also the head, in an adapter's file: PEFT adds them by itself. The base's own values are
/// accepted; others are a trained embedding.
/// </summary>
internal static class EmbeddingCopies
{
    private const string Head = "lm_head", Table = "embed_tokens";
    private const long RowsAtOnce = 4096;

    /// <summary>Takes the copies that equal the model's table off the names.</summary>
    /// <exception cref="AdapterException">A copy differs, or modules_to_save names what is not the embedding or not there.</exception>
    public static void Accept(
        SafetensorsFile file, string path, PeftConfig config, DiffusionGemmaModel model, HashSet<string> unread)
    {
        string[] copies = [.. unread.Where(IsCopy).Order(StringComparer.Ordinal)];
        foreach (string name in copies)
        {
            if (!EqualsTable(file, name, model))
                throw new AdapterException(
                    $"{path}: '{name}' is a trained embedding: it differs from the base model's, and only low-rank pairs are loaded. "
                    + "Merge the adapter with PEFT (merge_and_unload) and load the merged checkpoint, or train without it "
                    + "(modules_to_save, new tokens).");
            unread.Remove(name);
        }
        foreach (string module in config.ModulesToSave)
        {
            string last = module[(module.LastIndexOf('.') + 1)..];
            if (last is not (Head or Table))
                throw new AdapterException(
                    $"{PeftConfig.FileName} beside {path}: 'modules_to_save' names '{module}', a module that was trained whole; "
                    + "only low-rank pairs are loaded. Merge the adapter with PEFT (merge_and_unload) and load the merged checkpoint.");
            if (copies.Length == 0)
                throw new AdapterException(
                    $"{PeftConfig.FileName} beside {path}: 'modules_to_save' names '{module}', but the file holds no such tensor. Copy the "
                    + "whole adapter again, or take the entry out if the module was not trained.");
        }
    }

    private static bool IsCopy(string name)
    {
        if (!name.StartsWith(PeftFolder.Outer, StringComparison.Ordinal)) return false;
        string own = name[PeftFolder.Outer.Length..];
        return (CheckpointLayout.TiedTo(own) ?? own) == CheckpointLayout.Embedding;
    }

    /// <summary>
    /// Compares values, a few rows at a time: a tool that computed in float32 stores the base's bfloat16 values as float32.
    /// </summary>
    private static bool EqualsTable(SafetensorsFile file, string name, DiffusionGemmaModel model)
    {
        using IDisposable quiet = no_grad();
        TensorInfo info = file.Tensors[name];
        // The checkpoint's own values, unless training has changed them: a model may be loaded in a narrower dtype.
        Checkpoint? source = model.Changed.Contains(CheckpointLayout.Embedding) ? null : model.Checkpoint;
        long[] shape = model.Stack.Embedding.Shape;
        if (!info.Shape.SequenceEqual(shape) || !SafetensorsDTypes.IsFloating(info.DType)) return false;
        for (long at = 0; at < shape[0]; at += RowsAtOnce)
        {
            using var scope = NewDisposeScope();
            long rows = Math.Min(RowsAtOnce, shape[0] - at);
            Tensor Part(Tensor table) => table.narrow(0, at, rows);
            Tensor copy = file.ReadPart(name, null, ScalarType.Float64, Part);
            Tensor own = source is null
                ? Part(model.Stack.Embedding.Tensor!).to(ScalarType.Float64).cpu()
                : source.Read(CheckpointLayout.Embedding, null, ScalarType.Float64, Part);
            if (!copy.eq(own).all().item<bool>()) return false;
        }
        return true;
    }
}
