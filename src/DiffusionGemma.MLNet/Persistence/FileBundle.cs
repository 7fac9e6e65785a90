using System.Security.Cryptography;
using System.Text;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A few files of a folder held in memory, so that they can travel inside a saved model.</summary>
internal sealed class FileBundle
{
    /// <summary>The end of the name of the entry with the others' digests: bundles of one model part lie in one folder.</summary>
    private const string SumsSuffix = ".SHA256SUMS";

    private readonly SortedDictionary<string, byte[]> _files = new(StringComparer.Ordinal);

    public IEnumerable<KeyValuePair<string, byte[]>> Files => _files;

    /// <summary>Reads files of a folder; names that are not there are left out.</summary>
    public static FileBundle Read(string folder, params IEnumerable<string> names)
    {
        var bundle = new FileBundle();
        foreach (string name in names)
            if (File.Exists(Path.Combine(folder, name)))
                bundle._files[name] = File.ReadAllBytes(RegularFile.Require(Path.Combine(folder, name)));
        return bundle;
    }

    /// <summary>Puts a file in, in place of one of that name.</summary>
    public void Set(string name, byte[] content) => _files[name] = content;

    /// <summary>Opens the files as a folder for as long as a function runs.</summary>
    public T AsFolder<T>(Func<string, T> use)
    {
        using var scratch = new ScratchFolder();
        WriteTo(scratch.Path);
        return use(scratch.Path);
    }

    public void WriteTo(string folder)
    {
        foreach ((string name, byte[] content) in _files)
        {
            string path = Path.Combine(folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, content);
        }
    }

    /// <summary>
    /// Writes the names to the model's main stream and each file to a stream of its own, with one more that has their digests.
    /// </summary>
    public void Save(ModelSaveContext ctx)
    {
        SortedDictionary<string, byte[]> files = new(_files, StringComparer.Ordinal);
        if (_files.Count > 0) files[_files.Keys.First() + SumsSuffix] = Encoding.UTF8.GetBytes(Sums());
        ctx.Writer.Write(files.Count);
        foreach ((string name, byte[] content) in files)
        {
            ctx.SaveNonEmptyString(name);
            ctx.SaveBinaryStream(name, writer => writer.Write(content));
        }
    }

    /// <exception cref="FormatException">The saved model is damaged.</exception>
    public static FileBundle Load(ModelLoadContext ctx)
    {
        var bundle = new FileBundle();
        for (int count = ctx.Reader.ReadInt32(); count > 0; count--)
        {
            string name = ctx.LoadNonEmptyString();
            if (!IsFileName(name))
                throw new FormatException($"The saved model is damaged: '{name.Replace("\0", "\\0")}' is no file name.");
            if (bundle._files.ContainsKey(name)) throw new FormatException($"The saved model is damaged: it has {name} twice.");
            using var content = new MemoryStream();
            if (!ctx.TryLoadBinaryStream(name, reader => reader.BaseStream.CopyTo(content)))
                throw new FormatException($"The saved model is damaged: it has no {name}.");
            bundle._files[name] = content.ToArray();
        }
        bundle.CheckSums();
        return bundle;
    }

    /// <summary>The digests in the form of sha256sum.</summary>
    private string Sums() =>
        string.Concat(_files.Select(file => $"{Convert.ToHexStringLower(SHA256.HashData(file.Value))}  {file.Key}\n"));

    /// <summary>Compares the files with their digests; models of earlier versions have none.</summary>
    private void CheckSums()
    {
        if (_files.Keys.FirstOrDefault(name => name.EndsWith(SumsSuffix, StringComparison.Ordinal)) is not { } sums) return;
        _files.Remove(sums, out byte[]? expected);
        string[] found = Sums().Split('\n'), written = Encoding.UTF8.GetString(expected!).Split('\n');
        for (int n = 0; n < Math.Max(found.Length, written.Length); n++)
            if (n >= found.Length || n >= written.Length || found[n] != written[n])
            {
                string name = (n < found.Length - 1 ? found[n] : n < written.Length ? written[n] : "").Split("  ")[^1];
                throw new FormatException(
                    $"The saved model is damaged: {name} has other bytes than it was saved with. Copy or save the model again.");
            }
    }

    private static bool IsFileName(string name) => name.AsSpan().IndexOfAny('\0', '\\') < 0
        && name.Split('/').All(part => part is not ("" or "." or "..") && part == Path.GetFileName(part));
}
