namespace DiffusionGemma;

/// <summary>Files that are there whole or not at all.</summary>
internal static class WholeFile
{
    /// <summary>Writes a file under a temporary name beside it, then renames it over one that is there.</summary>
    /// <param name="path">The file; its folder is made.</param>
    /// <param name="write">
    /// Writes the content, to memory: a drawing library calls the stream from native code, where the exception of a full disk would hang
    /// or end the process.
    /// </param>
    /// <exception cref="IOException">The file cannot be written; one that is there stays as it is.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string whole = Path.GetFullPath(path), temporary = whole + ".part";
        using var content = new MemoryStream();
        write(content);
        Directory.CreateDirectory(Path.GetDirectoryName(whole)!);
        try
        {
            using (FileStream stream = File.Create(temporary)) stream.Write(content.ToArray());
            File.Move(temporary, whole, overwrite: true);
        }
        catch
        {
            HalfWritten.Delete(temporary);
            throw;
        }
    }
}
