namespace DiffusionGemma;

/// <summary>One call's downloads from one repository.</summary>
internal sealed class DownloadSession : IDisposable
{
    private readonly HubId _id;
    private readonly FilePatterns _wanted;

    public DownloadSession(HubId id, HubSettings settings, FilePatterns wanted, IProgress<HubProgress>? progress)
    {
        _id = id;
        _wanted = wanted;
        Settings = settings;
        Meter = new ProgressMeter(progress, settings.Options.Clock);
        Retries = new Retries(settings, Meter);
        Client = new HubClient(settings, Meter);
        Cache = new RepositoryCache(settings, id);
    }

    public HubSettings Settings { get; }

    public ProgressMeter Meter { get; }

    public Retries Retries { get; }

    public HubClient Client { get; }

    public RepositoryCache Cache { get; }

    /// <summary>Brings the wanted files of the id's revision into the cache.</summary>
    /// <returns>The commit.</returns>
    public async Task<string> SnapshotAsync(CancellationToken cancellation)
    {
        if (_id.IsCommit && CachedSnapshot.IsWhole(Cache, _id, _id.Revision, _wanted)) return _id.Revision;
        if (Settings.Offline) return OfflineCommit();
        string commit;
        RepositoryTree tree;
        try
        {
            commit = _id.IsCommit ? _id.Revision : await Retries.FirstAsync(token => Client.CommitAsync(_id, token), cancellation)
                .ConfigureAwait(false);
            tree = Cache.ReadTree(commit) ?? await ListAsync(commit, cancellation).ConfigureAwait(false);
        }
        catch (HubException e) when (e.IsTransient && Cache.Commit(_id) is { } cached
            && CachedSnapshot.IsWhole(Cache, _id, cached, _wanted))
        {
            Meter.Notify($"The cache's copy of {_id} is used, of commit {cached}: {e.Message}");
            return cached;
        }
        catch (HubException e) when (e.IsTransient)
        {
            throw NotReached($"{_id} is not whole in the cache", e);
        }
        await FilesAsync(commit, tree, cancellation).ConfigureAwait(false);
        // Last: until all is here, the name leads to what was whole before.
        Cache.WriteReference(_id, commit);
        return commit;
    }

    /// <summary>Brings one file into the cache, with one question to the Hub where a branch is named and none where a commit is.</summary>
    /// <returns>Its path in the snapshot.</returns>
    public async Task<string> FileAsync(string file, CancellationToken cancellation)
    {
        if (RepositoryFile.Fault(file) is { } fault) throw new ArgumentException($"The file's name '{file}' {fault}.", nameof(file));
        if (Cache.Commit(_id) is { } known && (_id.IsCommit || Settings.Offline))
        {
            if (Cache.HasFile(known, file)) return Cache.SnapshotFile(known, file);
            if (Cache.IsKnownMissing(known, file))
                throw new HubException(HubError.FileNotFound, $"{_id} has no file '{file}', as was seen when it was last asked for.");
        }
        if (Settings.Offline) throw Offline($"the file {file} of {_id}");
        FileHead head;
        try
        {
            head = await Retries.FirstAsync(token => Client.HeadAsync(_id, file, commit => Cache.MarkMissing(commit, file), token),
                cancellation).ConfigureAwait(false);
        }
        catch (HubException e) when (e.IsTransient && Cache.Commit(_id) is { } cached && Cache.HasFile(cached, file))
        {
            Meter.Notify($"The cache's copy of the file {file} of {_id} is used, of commit {cached}: {e.Message}");
            return Cache.SnapshotFile(cached, file);
        }
        catch (HubException e) when (e.IsTransient)
        {
            throw NotReached($"{_id}'s {file} is not in the cache", e);
        }
        if (!Cache.HasFile(head.Commit, file, head.Size))
        {
            long total = head.Size ?? 0, rest = Remaining(head.ETag, total);
            CheckSpace(rest);
            Meter.Begin(0, 1, total - rest, total);
            await new BlobDownload(this, _id.At(head.Commit), file, head.ETag, head.Size, head).RunAsync(cancellation)
                .ConfigureAwait(false);
        }
        Cache.WriteReference(_id, head.Commit);
        return Cache.SnapshotFile(head.Commit, file);
    }

    /// <summary>An id may be a folder that is misspelt, so the message names the folder too.</summary>
    private HubException NotReached(string missing, HubException cause)
    {
        string instead = _id.Kind == HubKind.Dataset ? "name files that are on this machine"
            : $"name a folder that is there (there is no {Path.GetFullPath(_id.Repository)})";
        return new HubException(
            cause.Error,
            $"{missing}, and {cause.Message} Check the network, the proxy and HF_ENDPOINT, and try again; or {instead}.", cause)
        {
            RetryAfter = cause.RetryAfter,
        };
    }

    /// <returns>The commit of the revision, whose wanted files are in the cache as far as can be seen.</returns>
    /// <exception cref="HubException">It is not in the cache, or files of it are missing.</exception>
    public string OfflineCommit()
    {
        if (Cache.Commit(_id) is not { } commit || !Directory.Exists(Cache.Snapshot(commit))) throw Offline(_id.ToString());
        IReadOnlyList<string> missing = CachedSnapshot.Missing(Cache, commit, _wanted);
        return missing.Count == 0 ? commit
            : throw Offline($"{string.Join(", ", missing.Take(3))}{(missing.Count > 3 ? $" and {missing.Count - 3} more files" : "")} "
                + $"of {_id}");
    }

    /// <returns>The wanted files' paths in the snapshot, in ordinal order; at least one.</returns>
    public IReadOnlyList<string> Paths(string commit)
    {
        List<string> files = CachedSnapshot.Files(Cache, commit, _wanted);
        return files.Count > 0 ? [.. files.Select(file => Cache.SnapshotFile(commit, file))]
            : throw NothingMatches(Cache.ReadTree(commit)?.Files.Select(file => file.Path)
            ?? CachedSnapshot.Files(Cache, commit, new FilePatterns(null)));
    }

    public void Dispose() => Client.Dispose();

    private async Task<RepositoryTree> ListAsync(string commit, CancellationToken cancellation)
    {
        RepositoryTree tree = await Retries.FirstAsync(token => Client.TreeAsync(_id, commit, token), cancellation).ConfigureAwait(false);
        Cache.WriteTree(commit, tree);
        return tree;
    }

    private async Task FilesAsync(string commit, RepositoryTree tree, CancellationToken cancellation)
    {
        TreeFile[] wanted = [.. tree.Files.Where(file => _wanted.Take(file.Path))];
        if (wanted.Length == 0) throw NothingMatches(tree.Files.Select(file => file.Path));
        var missing = new List<TreeFile>();
        foreach (TreeFile file in wanted.Where(file => !Cache.HasFile(commit, file.Path, file.Size)))
        {
            if (Cache.HasBlob(file.ETag, file.Size)) Cache.AddToSnapshot(commit, file.Path, file.ETag);
            else missing.Add(file);
        }
        if (missing.Count == 0) return;
        long total = wanted.Sum(file => file.Size), rest = missing.Sum(file => Remaining(file.ETag, file.Size));
        CheckSpace(rest);
        Meter.Begin(wanted.Length - missing.Count, wanted.Length, total - rest, total);
        var options = new ParallelOptions
        {
            MaxDegreeOfParallelism = Settings.Options.MaxConcurrentFiles,
            CancellationToken = cancellation,
        };
        await Parallel.ForEachAsync(missing, options, async (file, token) =>
            await new BlobDownload(this, _id.At(commit), file.Path, file.ETag, file.Size, head: null).RunAsync(token)
                .ConfigureAwait(false)).ConfigureAwait(false);
    }

    private long Remaining(string etag, long size) =>
        RepositoryCache.Length(Cache.PartOfBlob(etag)) is { } part && part <= size ? size - part : size;

    private void CheckSpace(long bytes)
    {
        Directory.CreateDirectory(Cache.BlobFolder);
        if (Settings.Options.FreeSpace(Cache.BlobFolder) is { } free && free < bytes)
        {
            throw new HubException(HubError.NoSpace, $"{_id} needs {Gigabytes(bytes)} more, and the disk of {Settings.CacheFolder} has "
                + $"{Gigabytes(free)} free: make room, or name another folder in HF_HUB_CACHE.");
        }
    }

    private HubException NothingMatches(IEnumerable<string> known) =>
        new(HubError.FileNotFound,
            $"No file of {_id} matches {_wanted}.{NearestName.Hint(_wanted.ToString(), known.SelectMany(WithFolders).Distinct())}");

    /// <summary>The file's name and those of the folders that it is in.</summary>
    private static IEnumerable<string> WithFolders(string file)
    {
        for (int end = file.Length; end > 0; end = file.LastIndexOf('/', end - 1))
            yield return file[..end];
    }

    private HubException Offline(string what) =>
        new(HubError.Offline, $"{what} is not in the cache {Settings.CacheFolder}, and downloads are turned off "
            + $"(HF_HUB_OFFLINE or HubOptions.{nameof(HubOptions.Offline)}): turn them on, or bring the cache's folder "
            + $"{Path.GetFileName(Cache.Folder)} here."
            + NearestName.Hint(_id.Repository, RepositoryCache.Repositories(Settings, _id.Kind).Where(name => name != _id.Repository)));

    private static string Gigabytes(long bytes) =>
        (bytes / 1e9).ToString("0.00", System.Globalization.CultureInfo.InvariantCulture) + " GB";
}
