namespace DiffusionGemma;

/// <summary>Files that are there whole or not at all.</summary>
internal static class WholeFile
{
    /// <summary>Writes a file under a temporary name beside it, then renames it over one that is there.</summary>
    /// <param name="path">The file; its folder is made.</param>
    /// <param name="write">Writes the content.</param>
    public static void Write(string path, Action<Stream> write)
    {
        string whole = Path.GetFullPath(path), temporary = whole + ".part";
        Directory.CreateDirectory(Path.GetDirectoryName(whole)!);
        try
        {
            using (FileStream stream = File.Create(temporary)) write(stream);
            File.Move(temporary, whole, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
