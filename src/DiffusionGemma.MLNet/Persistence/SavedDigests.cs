using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Writes and reads the digests of a checkpoint's files in a saved model.</summary>
internal static class SavedDigests
{
    public static void Save(ModelSaveContext ctx, IReadOnlyList<CheckpointFile> files)
    {
        ctx.Writer.Write(files.Count);
        foreach (CheckpointFile file in files)
        {
            ctx.SaveNonEmptyString(file.Name);
            ctx.Writer.Write(file.Length);
            ctx.SaveNonEmptyString(file.Sample);
            ctx.SaveStringOrNull(file.Whole);
        }
    }

    /// <exception cref="FormatException">The saved model is damaged.</exception>
    public static IReadOnlyList<CheckpointFile> Load(ModelLoadContext ctx)
    {
        List<CheckpointFile> files = [];
        for (int count = ctx.Reader.ReadInt32(); count > 0; count--)
        {
            var file = new CheckpointFile(
                ctx.LoadNonEmptyString(), ctx.Reader.ReadInt64(), ctx.LoadNonEmptyString(), ctx.LoadStringOrNull());
            if (file.Name is "." or ".." || file.Name.AsSpan().IndexOfAny('/', '\\', '\0') >= 0)
                throw new FormatException($"The saved model is damaged: '{file.Name.Replace("\0", "\\0")}' is no file name.");
            files.Add(file);
        }
        return files;
    }
}
