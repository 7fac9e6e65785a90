namespace DiffusionGemma;

/// <summary>
/// New files for a folder, made in a hidden folder inside it and moved to their places together: if anything fails before or during
/// that, the folder is as it was. The folder itself is made if need be.
/// </summary>
internal sealed class FolderUpdate : IDisposable
{
    private readonly string folder;
    private readonly bool made;
    private readonly string staging;
    private readonly string replaced;

    public FolderUpdate(string folder)
    {
        this.folder = folder;
        made = !Directory.Exists(folder);
        string hidden = Path.Combine(folder, $".saving-{Guid.NewGuid():N}");
        staging = Path.Combine(hidden, "new");
        replaced = Path.Combine(hidden, "old");
        try
        {
            Directory.CreateDirectory(staging);
            Directory.CreateDirectory(replaced);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where a new file is to be written.</summary>
    public string PathOf(string name) => Path.Combine(staging, name);

    /// <summary>Puts the new files in place and takes away those of the same name and the stale ones.</summary>
    /// <param name="isStale">Of a file name that is there now: whether it may not stay beside the new files.</param>
    /// <param name="key">The file without which readers see nothing: first to go, last to come, so that a crash leaves no mixture.</param>
    public void Commit(Func<string, bool> isStale, Func<string, bool> key)
    {
        string[] arriving = [.. Names(staging).OrderBy(key)];
        string[] leaving = [.. Names(folder).Where(name => arriving.Contains(name) || isStale(name)).OrderByDescending(key)];
        var undo = new Stack<Action>();
        try
        {
            foreach (string name in leaving) Move(name, folder, replaced, undo);
            foreach (string name in arriving) Move(name, staging, folder, undo);
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
            string hidden = Path.GetDirectoryName(staging)!;
            if (Directory.Exists(hidden)) Directory.Delete(hidden, recursive: true);
            if (made && Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What stays is hidden and belongs to no checkpoint; the error that led here, or the save that succeeded, counts for more.
        }
    }

    private static IEnumerable<string> Names(string folder) => Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path));

    private static void Move(string name, string from, string to, Stack<Action> undo)
    {
        File.Move(Path.Combine(from, name), Path.Combine(to, name));
        undo.Push(() => File.Move(Path.Combine(to, name), Path.Combine(from, name)));
    }
}
