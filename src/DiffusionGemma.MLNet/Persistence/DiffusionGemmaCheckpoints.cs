using System.Text;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Settings by which loaded models find their checkpoints.</summary>
/// <remarks>
/// A saved model holds the adapter (or, after full fine-tuning, no weights) and the name and fingerprint of a folder. Candidates are the
/// folder used in training, or the cache's copy of a checkpoint from the Hub; then those below the folders of the environment variable
/// <c>DIFFUSIONGEMMA_CHECKPOINTS</c>, then the answer of <see cref="Resolver"/>, and last, where <see cref="DownloadsOnLoad"/> allows it, a
/// download from the Hub. Only a folder with the same fingerprint is accepted, and with the digests of its files that the saved model has.
/// </remarks>
public static class DiffusionGemmaCheckpoints
{
    /// <summary>The environment variable with folders, separated as in PATH, in which checkpoints lie.</summary>
    public const string EnvironmentVariable = "DIFFUSIONGEMMA_CHECKPOINTS";

    /// <summary>
    /// The Hub and its cache, for checkpoints named by their id and data files by their address; null: as the environment says.
    /// </summary>
    public static HubOptions? Hub { get; set; }

    /// <summary>True: <c>Model.Load</c> may download a checkpoint from the Hub that is not here. False by default.</summary>
    /// <remarks>Set it before <c>Model.Load</c>.</remarks>
    public static bool DownloadsOnLoad { get; set; }

    /// <summary>The function that is asked for a checkpoint's folder that is not found; null, or null returned: unknown.</summary>
    /// <remarks>Set it before <c>Model.Load</c>.</remarks>
    public static Func<CheckpointReference, string?>? Resolver { get; set; }

    /// <summary>
    /// The device of loaded models; null: <c>MLContext.GpuDeviceId</c> where it is set, else <see
    /// cref="DiffusionGemmaRuntime.DefaultDevice"/>.
    /// </summary>
    /// <remarks>Set it before <c>Model.Load</c>.</remarks>
    public static torch.Device? Device { get; set; }

    /// <summary>Finds the checkpoint's folder on this machine.</summary>
    /// <exception cref="FileNotFoundException">No candidate is there with the same fingerprint; the message says where was
    /// looked.</exception>
    /// <exception cref="HubException">A download was allowed and failed.</exception>
    internal static string Find(CheckpointReference reference, IHostEnvironment environment)
    {
        var seen = new HashSet<string>();
        var tried = new StringBuilder();
        foreach ((string source, string folder) in Candidates(reference, environment))
        {
            if (!seen.Add(Path.GetFullPath(folder)))
                continue;
            string fault = Fault(folder, reference, environment);
            if (fault.Length == 0)
                return folder;
            tried.Append($"\n  {folder} ({source}): {fault}");
        }
        throw new FileNotFoundException(
            $"The checkpoint '{reference.HubId?.ToString() ?? reference.Name}' (fingerprint {reference.Fingerprint[..12]}…), "
                + $"which this model was trained on, was not found. Looked at:{tried}\n"
            + $"Put it back, or name the folder that holds it in {EnvironmentVariable}, or set "
                + $"{nameof(DiffusionGemmaCheckpoints)}.{nameof(Resolver)} before loading."
            + (reference.HubId is null ? "" : $" Or allow a download: {nameof(DiffusionGemmaCheckpoints)}.{nameof(DownloadsOnLoad)}."),
            reference.Path);
    }

    private static IEnumerable<(string Source, string Folder)> Candidates(CheckpointReference reference,
        IHostEnvironment environment)
    {
        if (reference.HubId is not { } id)
            yield return ("the path at training", reference.Path);
        else
            yield return ("the Hub's cache", HubRepository.TryFindCached(id, out string? cached, Hub) ? cached : id.ToString());
        string[] roots = (Environment.GetEnvironmentVariable(EnvironmentVariable) ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        foreach (string root in roots)
            yield return (EnvironmentVariable, Path.Combine(root, reference.Name));
        foreach (string root in roots.Where(Directory.Exists))
            foreach (string folder in Directory.EnumerateDirectories(root).Order(StringComparer.Ordinal).Where(HoldsCheckpoint))
                yield return (EnvironmentVariable, folder);
        if (Resolver?.Invoke(reference) is { } answer)
            yield return (nameof(Resolver), answer);
        if (DownloadsOnLoad && reference.HubId is { } wanted)
            yield return ("the Hub", HubDownloads.Download(environment, wanted));
    }

    private static bool HoldsCheckpoint(string folder) => File.Exists(Path.Combine(folder, "config.json"));

    /// <returns>Why the folder is not the checkpoint; empty if it is.</returns>
    private static string Fault(string folder, CheckpointReference reference, IHostEnvironment environment)
    {
        if (!HoldsCheckpoint(folder))
            return Directory.Exists(folder) ? "has no config.json" : "is not there";
        try
        {
            if (reference.Files.Count > 0)
                return Fault(folder, CheckpointFiles.FindDifferences(folder, reference.Files), environment);
            string found = CheckpointFingerprint.Compute(folder);
            return found == reference.Fingerprint ? "" : $"is another checkpoint (fingerprint {found[..12]}…)";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return error.Message;
        }
    }

    /// <summary>Tells which file is not the one of the digests; other settings of answers are a warning alone.</summary>
    private static string Fault(string folder, IReadOnlyList<CheckpointDifference> differences, IHostEnvironment environment)
    {
        const string Settings = "generation_config.json";
        if (differences.FirstOrDefault(file => file.Name != Settings) is { } other) return $"{other.Problem} when the model was made";
        if (differences.Count == 0) return "";
        using IChannel log = environment.Register("Load").Start("Load");
        log.Warning(MessageSensitivity.None, $"{folder} {differences[0].Problem} when the model was made: answers may differ.");
        return "";
    }
}
