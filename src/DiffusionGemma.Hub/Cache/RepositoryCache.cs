using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// One repository in the cache, laid out as the Hub's Python client lays it out, which reads what is written here and the other way about.
/// </summary>
/// <remarks>
/// <code>
/// models--org--name/refs/main                      the commit of a branch or tag
///                   blobs/ETAG                     contents, by their hash
///                   snapshots/COMMIT/path/file     a relative link to its blob; a file where links cannot be made
///                   .no_exist/COMMIT/path/file     empty: known not to be there
///                   trees/COMMIT.json              the listing of all files
/// .locks/models--org--name/ETAG.lock               held while that blob is written
/// </code>
/// </remarks>
internal sealed partial class RepositoryCache
{
    private readonly HubSettings _settings;
    private readonly string _name;

    public RepositoryCache(HubSettings settings, HubId id)
    {
        _settings = settings;
        _name = FolderPrefix(id.Kind) + id.Repository.Replace("/", "--");
        Folder = Path.Combine(settings.CacheFolder, _name);
    }

    public string Folder { get; }

    public string BlobFolder => Path.Combine(Folder, "blobs");

    public string Snapshot(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string SnapshotFile(string commit, string file) => RepositoryFile.Below(Snapshot(commit), file);

    public string Blob(string etag) => Path.Combine(BlobFolder, CheckedTag(etag));

    /// <summary>A name of our own: the Python client takes up no part of a file, and must not take ours for one of its own.</summary>
    public string PartOfBlob(string etag) => Blob(etag) + ".diffusiongemma.incomplete";

    public string LockFile(string etag) => Path.Combine(_settings.CacheFolder, ".locks", _name, CheckedTag(etag) + ".lock");

    /// <summary>The names of the repositories in the cache.</summary>
    public static IEnumerable<string> Repositories(HubSettings settings, HubKind kind) =>
        !Directory.Exists(settings.CacheFolder) ? []
        : Directory.EnumerateDirectories(settings.CacheFolder, FolderPrefix(kind) + "*--*")
            .Select(folder => Path.GetFileName(folder)[FolderPrefix(kind).Length..].Replace("--", "/"));

    /// <returns>The commit that a revision was last seen at; a commit is its own. Null: not known here.</returns>
    public string? Commit(HubId id)
    {
        if (id.IsCommit) return id.Revision;
        string path = ReferenceFile(id.Revision);
        return File.Exists(path) && File.ReadAllText(path).Trim() is var commit && HubId.IsCommitHash(commit) ? commit : null;
    }

    public void WriteReference(HubId id, string commit)
    {
        if (id.IsCommit || Commit(id) == commit) return;
        WriteWhole(ReferenceFile(id.Revision), stream => stream.Write(System.Text.Encoding.ASCII.GetBytes(commit)));
    }

    public RepositoryTree? ReadTree(string commit) => RepositoryTree.Read(TreePath(commit));

    public void WriteTree(string commit, RepositoryTree tree) => WriteWhole(TreePath(commit), tree.Write);

    public bool IsKnownMissing(string commit, string file) => File.Exists(MissingFile(commit, file));

    public void MarkMissing(string commit, string file)
    {
        string path = MissingFile(commit, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Create(path).Dispose();
    }

    /// <summary>True if the snapshot has the file, whole as far as its size says.</summary>
    public bool HasFile(string commit, string file, long? size = null) =>
        Length(SnapshotFile(commit, file)) is { } length && (size ?? length) == length;

    public bool HasBlob(string etag, long size) => Length(Blob(etag)) == size;

    /// <summary>Puts a blob's file into a snapshot: a link, or where none can be made the file itself, as the Python client does.</summary>
    public void AddToSnapshot(string commit, string file, string etag)
    {
        string path = SnapshotFile(commit, file), blob = Blob(etag), folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        string temporary = Temporary();
        try
        {
            try
            {
                // Made elsewhere and moved in: the target is relative to the place where the link will be.
                _settings.Options.MakeLink(temporary, Path.GetRelativePath(folder, blob));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
            {
                // Not a copy, which would take the room twice.
                File.Move(blob, temporary);
            }
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <returns>The length of the file at the end of all links; null if there is none.</returns>
    public static long? Length(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.LinkTarget is not null) file = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo;
            return file is { Exists: true } ? file.Length : null;
        }
        catch (IOException)
        {
            return null;                                            // links in a circle
        }
    }

    public static string FolderPrefix(HubKind kind) => kind == HubKind.Model ? "models--" : "datasets--";

    private string ReferenceFile(string revision) => Path.Combine([Folder, "refs", .. revision.Split('/')]);

    private string TreePath(string commit) => Path.Combine(Folder, "trees", commit + ".json");

    private string MissingFile(string commit, string file) => RepositoryFile.Below(Path.Combine(Folder, ".no_exist", commit), file);

    private string Temporary() => Path.Combine(Folder, $".{Guid.NewGuid():N}.tmp");

    private void WriteWhole(string path, Action<Stream> write)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = Temporary();
        try
        {
            using (FileStream stream = File.Create(temporary))
                write(stream);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>An entity tag becomes a file's name, and a server says it.</summary>
    private static string CheckedTag(string etag) => TagPattern().IsMatch(etag) ? etag
        : throw new HubException(HubError.Refused, "The Hub's entity tag of a file is not of letters, digits, '-' and '_' alone.");

    [GeneratedRegex(@"^[A-Za-z0-9_-]{1,128}\z")]
    private static partial Regex TagPattern();
}
