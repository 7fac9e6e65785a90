namespace DiffusionGemma;

/// <summary>
/// Writes new files for a folder in a hidden folder inside it and moves them to their places together: if anything fails before or during
/// that, the folder is left as it was. Creates the folder if it is missing.
/// </summary>
internal sealed class FolderUpdate : IDisposable
{
    private readonly string _folder;
    private readonly bool _created;
    private readonly string _staging;
    private readonly string _replaced;

    public FolderUpdate(string folder)
    {
        _folder = folder;
        if (File.Exists(folder)) throw new IOException($"{folder} is a file.");
        _created = !Directory.Exists(folder);
        string hidden = Path.Combine(folder, $".saving-{Guid.NewGuid():N}");
        _staging = Path.Combine(hidden, "new");
        _replaced = Path.Combine(hidden, "old");
        try
        {
            Directory.CreateDirectory(_staging);
            Directory.CreateDirectory(_replaced);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The folder that new files are written to.</summary>
    public string Folder => _staging;

    /// <summary>Returns the path to write a new file to.</summary>
    public string PathOf(string name) => Path.Combine(_staging, name);

    /// <summary>Moves the new files to their places and removes those of the same names and the stale ones.</summary>
    /// <param name="isStale">Returns true for the name of a present file that must not stay beside the new files.</param>
    /// <param name="key">
    /// Returns true for the file that readers open first: it is removed first and placed last, so that a crash leaves no mixture.
    /// </param>
    public void Commit(Func<string, bool> isStale, Func<string, bool> key)
    {
        string[] arriving = [.. Names(_staging).OrderBy(key)];
        string[] leaving = [.. Names(_folder).Where(name => arriving.Contains(name) || isStale(name)).OrderByDescending(key)];
        var undo = new Stack<Action>();
        try
        {
            foreach (string name in leaving) Move(name, _folder, _replaced, undo);
            foreach (string name in arriving) Move(name, _staging, _folder, undo);
        }
        catch
        {
            while (undo.TryPop(out Action? step)) step();
            throw;
        }
    }

    public void Dispose()
    {
        try
        {
            string hidden = Path.GetDirectoryName(_staging)!;
            if (Directory.Exists(hidden)) Directory.Delete(hidden, recursive: true);
            if (_created && Directory.Exists(_folder) && !Directory.EnumerateFileSystemEntries(_folder).Any()) Directory.Delete(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The files left are hidden and belong to no checkpoint; the error that led here, or the successful save, matters more.
        }
    }

    private static IEnumerable<string> Names(string folder) => Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path));

    private static void Move(string name, string from, string to, Stack<Action> undo)
    {
        File.Move(Path.Combine(from, name), Path.Combine(to, name));
        undo.Push(() => File.Move(Path.Combine(to, name), Path.Combine(from, name)));
    }
}
