namespace DiffusionGemma;

/// <summary>
/// Writes new files for a folder in a hidden folder inside it and moves them to their places together: if anything fails before or during
/// that, the folder is left as it was. Creates the folder if it is missing. One writer at a time: the second one is refused.
/// </summary>
internal sealed class FolderUpdate : IDisposable
{
    private const string Hidden = ".saving-", LockFile = "lock", New = "new", Replaced = "old";

    private readonly string _folder;
    private readonly bool _created;
    private readonly FileStream? _lock;
    private readonly string _staging;
    private readonly string _replaced;

    /// <exception cref="IOException">The folder cannot be written to, or another writer is at work in it.</exception>
    public FolderUpdate(string folder)
    {
        _folder = folder;
        if (File.Exists(folder)) throw new IOException($"{folder} is a file.");
        _created = !Directory.Exists(folder);
        string hidden = Path.Combine(folder, $"{Hidden}{Guid.NewGuid():N}");
        _staging = Path.Combine(hidden, New);
        _replaced = Path.Combine(hidden, Replaced);
        try
        {
            Directory.CreateDirectory(_staging);
            Directory.CreateDirectory(_replaced);
            // Each writer has a lock of its own and looks for the others' afterwards: of two that begin at once, one at least sees the
            // other. The operating system releases it when the process ends, however it ends.
            _lock = new FileStream(Path.Combine(hidden, LockFile), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
            _lock.Write("A process writes new files here, and moves them to the folder above when they are whole.\n"u8);
            string[] others = [.. Directory.EnumerateDirectories(folder, Hidden + "*").Where(other => other != hidden)];
            if (others.Any(IsHeld)) throw new IOException($"another process is writing to {folder}: wait for it, or name another folder");
            foreach (string other in others.Where(IsRubbish)) Delete(other);
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
            _lock?.Dispose();
            Delete(Path.GetDirectoryName(_staging)!);
            if (_created && Directory.Exists(_folder) && !Directory.EnumerateFileSystemEntries(_folder).Any()) Directory.Delete(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // An empty folder may stay.
        }
    }

    private static void Delete(string hidden)
    {
        try
        {
            if (Directory.Exists(hidden)) Directory.Delete(hidden, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The files left are hidden and belong to no checkpoint; the error that led here, or the successful save, matters more.
        }
    }

    /// <summary>True where the writer of a hidden folder lives; what a killed one left is held by nobody.</summary>
    private static bool IsHeld(string hidden)
    {
        try
        {
            using var _ = new FileStream(Path.Combine(hidden, LockFile), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>True for what a writer left that was killed before it replaced a file; one without a lock is perhaps being begun.</summary>
    private static bool IsRubbish(string hidden)
    {
        string replaced = Path.Combine(hidden, Replaced);
        return File.Exists(Path.Combine(hidden, LockFile)) && !(Directory.Exists(replaced) && Names(replaced).Any());
    }

    private static IEnumerable<string> Names(string folder) => Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path));

    private static void Move(string name, string from, string to, Stack<Action> undo)
    {
        File.Move(Path.Combine(from, name), Path.Combine(to, name));
        undo.Push(() => File.Move(Path.Combine(to, name), Path.Combine(from, name)));
    }
}
