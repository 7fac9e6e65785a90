using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A few files of a folder held in memory, so that they can travel inside a saved model.</summary>
internal sealed class FileBundle
{
    private readonly SortedDictionary<string, byte[]> _files = new(StringComparer.Ordinal);

    public IEnumerable<KeyValuePair<string, byte[]>> Files => _files;

    /// <summary>Reads files of a folder; names that are not there are left out.</summary>
    public static FileBundle Read(string folder, params IEnumerable<string> names)
    {
        var bundle = new FileBundle();
        foreach (string name in names)
            if (File.Exists(Path.Combine(folder, name)))
                bundle._files[name] = File.ReadAllBytes(Path.Combine(folder, name));
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

    /// <summary>Writes the names to the model's main stream and each file to a stream of its own.</summary>
    public void Save(ModelSaveContext ctx)
    {
        ctx.Writer.Write(_files.Count);
        foreach ((string name, byte[] content) in _files)
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
            if (name.Split('/').Any(part => part is "" or "." or ".." || part != Path.GetFileName(part)))
                throw new FormatException($"The saved model is damaged: '{name}' is no file name.");
            using var content = new MemoryStream();
            if (!ctx.TryLoadBinaryStream(name, reader => reader.BaseStream.CopyTo(content)))
                throw new FormatException($"The saved model is damaged: it has no {name}.");
            bundle._files[name] = content.ToArray();
        }
        return bundle;
    }
}
