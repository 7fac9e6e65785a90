using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace DiffusionGemma;

/// <summary>
/// Compares the files of a checkpoint folder that the model is read from (config.json, generation_config.json, weights and their index)
/// with digests that are kept elsewhere, as a saved model keeps them.
/// </summary>
/// <example>
/// <code>
/// IReadOnlyList&lt;CheckpointFile&gt; files = CheckpointFiles.Read("diffusiongemma");
/// CheckpointFiles.Verify("copy", files);
/// </code>
/// </example>
public static class CheckpointFiles
{
    private static readonly string[] TextFiles =
        [DiffusionGemmaConfig.FileName, QuantizationParser.ModelOptFileName, "generation_config.json", SafetensorsIndex.FileName];

    /// <summary>
    /// Computes the digests of a folder's files; those of all bytes of large weight files are taken from SHA256SUMS or the Hub's cache.
    /// </summary>
    /// <param name="folder">A Hugging Face folder.</param>
    /// <exception cref="CheckpointException">A weight file is missing or broken.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static IReadOnlyList<CheckpointFile> Read(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        IReadOnlyDictionary<string, string> known = Known(folder);
        return Compute(folder, file => known.GetValueOrDefault(Path.GetFileName(file)) ?? FolderDigests.OfHub(file));
    }

    /// <summary>Finds the files that differ in length or <see cref="CheckpointFile.Sample"/>, are missing, or were not there.</summary>
    /// <param name="folder">A Hugging Face folder.</param>
    /// <param name="expected">What <see cref="Read"/> returned.</param>
    /// <inheritdoc cref="Read" path="/exception"/>
    public static IReadOnlyList<CheckpointDifference> FindDifferences(string folder, IReadOnlyList<CheckpointFile> expected)
    {
        ArgumentNullException.ThrowIfNull(expected);
        List<CheckpointDifference> differences = [];
        Dictionary<string, CheckpointFile> found = Compute(folder, _ => null).ToDictionary(file => file.Name);
        foreach (CheckpointFile file in expected)
            if (!found.Remove(file.Name, out CheckpointFile? here))
                Add(file.Name, $"has no {file.Name}");
            else if (here.Length != file.Length)
                Add(file.Name, $"has {file.Name} with {here.Length:N0} bytes, and it had {file.Length:N0}");
            else if (here.Sample != file.Sample)
                Add(file.Name, $"has {file.Name} with other bytes than it had");
        foreach (string name in found.Keys) Add(name, $"has {name}, which was not there");
        return differences;

        void Add(string name, string problem) => differences.Add(new CheckpointDifference(name, problem));
    }

    /// <summary>Compares every byte of the files: with the digests, or where there are none with those beside the files.</summary>
    /// <param name="folder">A Hugging Face folder.</param>
    /// <param name="expected">What <see cref="Read"/> returned; none: compares with SHA256SUMS or the Hub's digests.</param>
    /// <exception cref="CheckpointException">A file has other bytes, or there is nothing to compare it with.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static void Verify(string folder, IReadOnlyList<CheckpointFile> expected)
    {
        ArgumentNullException.ThrowIfNull(expected);
        if (expected.Count > 0 && FindDifferences(folder, expected) is [var first, ..]) throw Differs(first.Problem);
        foreach (CheckpointFile file in expected)
            if (file.Whole is { } digest && Checksums.Digest(Path.Combine(folder, file.Name)) != digest)
                throw Differs($"has {file.Name} with other bytes than it had");
        if (expected.Count == 0 || expected.Any(file => file.Whole is null)) FolderDigests.Verify(folder);

        CheckpointException Differs(string problem) =>
            new(folder, $"{problem} when the model was made. Fetch or copy the file again.");
    }

    /// <summary>Reads SHA256SUMS; without one that can be read, whole files are not known.</summary>
    private static IReadOnlyDictionary<string, string> Known(string folder)
    {
        string sums = Path.Combine(folder, Checksums.FileName);
        try
        {
            return File.Exists(sums) ? Checksums.Read(sums) : new Dictionary<string, string>();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return new Dictionary<string, string>();
        }
    }

    private static List<CheckpointFile> Compute(string folder, Func<string, string?> whole)
    {
        List<CheckpointFile> files = [];
        foreach (string path in TextFiles.Select(name => Path.Combine(folder, name)).Where(File.Exists))
        {
            string digest = Checksums.Digest(path);
            using SafeFileHandle file = File.OpenHandle(path);                                   // a link's own length is another
            files.Add(new CheckpointFile(Path.GetFileName(path), RandomAccess.GetLength(file), digest, digest));
        }
        using SafetensorsFile weights = SafetensorsFile.Open(folder);
        foreach (MappedFile file in weights.Files.OrderBy(file => file.Path, StringComparer.Ordinal))
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            bool isWhole = WeightSample.Append(hash, file);
            string sample = Convert.ToHexStringLower(hash.GetHashAndReset());
            files.Add(new CheckpointFile(Path.GetFileName(file.Path), file.Length, sample, isWhole ? sample : whole(file.Path)));
        }
        return files;
    }
}
