using System.Diagnostics.CodeAnalysis;

namespace DiffusionGemma;

/// <summary>
/// Checkpoints and data files from the Hugging Face Hub. They are kept in the cache of the Hub's Python client, which shares them: a
/// repository that either has downloaded is not downloaded again by the other.
/// </summary>
public static class HubRepository
{
    /// <summary>
    /// True for exactly <c>org/name</c> or <c>org/name@revision</c>, unless a folder of that spelling is there, which wins.
    /// </summary>
    /// <param name="text">A folder's path, or an id.</param>
    public static bool IsId([NotNullWhen(true)] string? text) => HubId.TryParse(text, out _) && !Directory.Exists(text);

    /// <summary>The folder of a checkpoint that is named by its path or by its id on the Hub, downloaded where it is not here.</summary>
    /// <param name="folderOrId">A folder that is there, or <c>org/name</c> or <c>org/name@revision</c>. A folder of the same spelling wins
    /// over an id.</param>
    /// <param name="options">Where the Hub and its cache are; null: as the environment says.</param>
    /// <param name="progress">Called a few times a second, from several threads but one at a time.</param>
    /// <param name="cancellation">Ends the download; what came so far is kept for the next.</param>
    /// <returns>The folder; for an id that of the snapshot in the cache, complete.</returns>
    /// <exception cref="ArgumentException">The text is neither a folder that is there nor an id.</exception>
    /// <exception cref="HubException">The repository cannot be had; the message says why and what to do.</exception>
    /// <exception cref="IOException">The cache cannot be written to.</exception>
    public static Task<string> DownloadAsync(string folderOrId, HubOptions? options = null, IProgress<HubProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folderOrId);
        if (cancellation.IsCancellationRequested) return Task.FromCanceled<string>(cancellation);
        if (Directory.Exists(folderOrId)) return Task.FromResult(folderOrId);
        return HubId.TryParse(folderOrId, out HubId? id) ? DownloadAsync(id, options, progress, cancellation) : throw Neither(folderOrId);
    }

    /// <summary>A repository's snapshot, downloaded where it is not in the cache, whatever folders there are.</summary>
    /// <param name="id">The repository and revision. A commit that is in the cache needs no request; a branch or tag needs one.</param>
    /// <param name="options">Where the Hub and its cache are; null: as the environment says.</param>
    /// <param name="progress">Called a few times a second, from several threads but one at a time.</param>
    /// <param name="cancellation">Ends the download; what came so far is kept for the next.</param>
    /// <returns>The snapshot's folder in the cache, with all files that <see cref="HubOptions.Include"/> names.</returns>
    /// <exception cref="HubException">The repository cannot be had; the message says why and what to do.</exception>
    /// <exception cref="IOException">The cache cannot be written to.</exception>
    public static async Task<string> DownloadAsync(HubId id, HubOptions? options = null, IProgress<HubProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(id);
        cancellation.ThrowIfCancellationRequested();
        using DownloadSession session = Session(id, options, options?.Include, progress);
        return session.Cache.Snapshot(await session.SnapshotAsync(cancellation).ConfigureAwait(false));
    }

    /// <summary>One file of a repository, downloaded where it is not in the cache.</summary>
    /// <param name="id">The repository and revision.</param>
    /// <param name="file">The file's name in the repository, such as <c>config.json</c>.</param>
    /// <param name="options">Where the Hub and its cache are; null: as the environment says.</param>
    /// <param name="progress">Called a few times a second.</param>
    /// <param name="cancellation">Ends the download.</param>
    /// <returns>The file's path in the snapshot.</returns>
    /// <exception cref="ArgumentException">The name is none of a file in a repository.</exception>
    /// <exception cref="HubException">The file cannot be had; the message says why and what to do.</exception>
    /// <exception cref="IOException">The cache cannot be written to.</exception>
    public static async Task<string> DownloadFileAsync(HubId id, string file, HubOptions? options = null,
        IProgress<HubProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(id);
        ArgumentNullException.ThrowIfNull(file);
        cancellation.ThrowIfCancellationRequested();
        using DownloadSession session = Session(id, options, null, progress);
        return await session.FileAsync(file, cancellation).ConfigureAwait(false);
    }

    /// <summary>
    /// The files that an address names, such as <c>hf://datasets/openai/gsm8k/main/train-*.parquet</c>, downloaded where they are not in
    /// the cache.
    /// </summary>
    /// <param name="files">The address: a file, a folder with all below it, or a pattern.</param>
    /// <param name="options">Where the Hub and its cache are; null: as the environment says. <see cref="HubOptions.Include"/> is not
    /// used.</param>
    /// <param name="progress">Called a few times a second, from several threads but one at a time.</param>
    /// <param name="cancellation">Ends the download; what came so far is kept for the next.</param>
    /// <returns>The files' paths in the cache, in ordinal order; at least one.</returns>
    /// <exception cref="HubException">The files cannot be had, or none is there; the message says why and what to do.</exception>
    /// <exception cref="IOException">The cache cannot be written to.</exception>
    public static async Task<IReadOnlyList<string>> DownloadFilesAsync(HubPath files, HubOptions? options = null,
        IProgress<HubProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        cancellation.ThrowIfCancellationRequested();
        using DownloadSession session = Session(files.Id, options, [files.Path], progress);
        return session.Paths(await session.SnapshotAsync(cancellation).ConfigureAwait(false));
    }

    /// <summary>Looks a repository up in the cache; no request is made.</summary>
    /// <param name="folderOrId">A folder that is there, or an id, as for <see cref="DownloadAsync(string, HubOptions?,
    /// IProgress{HubProgress}?, CancellationToken)"/>.</param>
    /// <param name="folder">The folder, where there is one.</param>
    /// <param name="options">Where the cache is; null: as the environment says.</param>
    /// <returns>False if it is not there, or files of it are missing.</returns>
    public static bool TryFindCached(string folderOrId, [NotNullWhen(true)] out string? folder, HubOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(folderOrId);
        folder = Directory.Exists(folderOrId) ? folderOrId : null;
        return folder is not null || HubId.TryParse(folderOrId, out HubId? id) && TryFindCached(id, out folder, options);
    }

    /// <summary>Looks a repository up in the cache; no request is made.</summary>
    /// <param name="id">The repository. A branch or tag is taken at the commit where it was last seen.</param>
    /// <param name="folder">The snapshot's folder, where there is one.</param>
    /// <param name="options">Where the cache is; null: as the environment says.</param>
    /// <returns>False if it is not there, or files of it that <see cref="HubOptions.Include"/> names are missing.</returns>
    public static bool TryFindCached(HubId id, [NotNullWhen(true)] out string? folder, HubOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(id);
        folder = null;
        var cache = new RepositoryCache(new HubSettings(options), id);
        var wanted = new FilePatterns(options?.Include);
        if (cache.Commit(id) is not { } commit || !Directory.Exists(cache.Snapshot(commit))
            || CachedSnapshot.Missing(cache, commit, wanted).Count > 0)
            return false;
        folder = cache.Snapshot(commit);
        return true;
    }

    private static DownloadSession Session(HubId id, HubOptions? options, IEnumerable<string>? wanted, IProgress<HubProgress>? progress) =>
        new(id, new HubSettings(options), new FilePatterns(wanted), progress);

    private static ArgumentException Neither(string text) =>
        new($"'{text}' is neither a folder that is there ({Path.GetFullPath(text)}) nor an id of the Hub, which is org/name or "
            + "org/name@revision.", nameof(text));
}
