using System.Text;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Names the checkpoint that a saved model needs beside what its own file holds.</summary>
/// <param name="Path">The folder's full path where the model was trained.</param>
/// <param name="Fingerprint">Tells it from other checkpoints.</param>
public sealed record CheckpointReference(string Path, string Fingerprint)
{
    /// <summary>The folder's own name, whichever system the path comes from.</summary>
    public string Name => Path.Split('/', '\\').Last(part => part.Length > 0);
}

/// <summary>
/// Where loaded models find their checkpoints: a saved model holds the adapter (or, after full fine-tuning, nothing of the weights) and
/// the name and fingerprint of a folder. That folder is looked for where it was in training, then below the folders of the environment
/// variable <c>DIFFUSIONGEMMA_CHECKPOINTS</c>, then by <see cref="Resolver"/>. Only a folder with the same fingerprint is taken.
/// </summary>
public static class DiffusionGemmaCheckpoints
{
    /// <summary>The environment variable with folders, separated as in PATH, in which checkpoints lie.</summary>
    public const string EnvironmentVariable = "DIFFUSIONGEMMA_CHECKPOINTS";

    /// <summary>Asked last for a checkpoint's folder; null, or an answer of null: none known. Set it before <c>Model.Load</c>.</summary>
    public static Func<CheckpointReference, string?>? Resolver { get; set; }

    /// <summary>Where loaded models compute; null: <see cref="DiffusionGemmaRuntime.DefaultDevice"/>. Set it before <c>Model.Load</c>.</summary>
    public static torch.Device? Device { get; set; }

    /// <summary>The checkpoint's folder on this machine.</summary>
    /// <exception cref="FileNotFoundException">No candidate is there with the same fingerprint; the message says where was looked.</exception>
    internal static string Find(CheckpointReference reference)
    {
        var seen = new HashSet<string>();
        var tried = new StringBuilder();
        foreach ((string source, string folder) in Candidates(reference))
        {
            if (!seen.Add(Path.GetFullPath(folder)))
                continue;
            string fault = Fault(folder, reference);
            if (fault.Length == 0)
                return folder;
            tried.Append($"\n  {folder} ({source}): {fault}");
        }
        throw new FileNotFoundException(
            $"The checkpoint '{reference.Name}' (fingerprint {reference.Fingerprint[..12]}…), which this model was trained on, was not found. Looked at:{tried}\n"
            + $"Put it back, or name the folder that holds it in {EnvironmentVariable}, or set {nameof(DiffusionGemmaCheckpoints)}.{nameof(Resolver)} before loading.",
            reference.Path);
    }

    private static IEnumerable<(string Source, string Folder)> Candidates(CheckpointReference reference)
    {
        yield return ("the path at training", reference.Path);
        string[] roots = (Environment.GetEnvironmentVariable(EnvironmentVariable) ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        foreach (string root in roots)
            yield return (EnvironmentVariable, Path.Combine(root, reference.Name));
        foreach (string root in roots.Where(Directory.Exists))
            foreach (string folder in Directory.EnumerateDirectories(root).Order(StringComparer.Ordinal).Where(HoldsCheckpoint))
                yield return (EnvironmentVariable, folder);
        if (Resolver?.Invoke(reference) is { } answer)
            yield return (nameof(Resolver), answer);
    }

    private static bool HoldsCheckpoint(string folder) => File.Exists(Path.Combine(folder, "config.json"));

    /// <returns>Why the folder is not the checkpoint; empty if it is.</returns>
    private static string Fault(string folder, CheckpointReference reference)
    {
        if (!HoldsCheckpoint(folder))
            return Directory.Exists(folder) ? "has no config.json" : "is not there";
        try
        {
            string found = CheckpointFingerprint.Compute(folder);
            return found == reference.Fingerprint ? "" : $"is another checkpoint (fingerprint {found[..12]}…)";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return error.Message;
        }
    }
}
