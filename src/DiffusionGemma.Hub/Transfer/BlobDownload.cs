using System.Buffers;
using System.Net;
using System.Net.Http.Headers;

namespace DiffusionGemma;

/// <summary>
/// Brings one file into the cache: under a lock, into a part that a later try takes up again, checked by size and hash before it gets its
/// blob's name.
/// </summary>
internal sealed class BlobDownload
{
    private const int BufferBytes = 1 << 20;

    private readonly HubClient _client;
    private readonly RepositoryCache _cache;
    private readonly Retries _retries;
    private readonly ProgressMeter _meter;
    private readonly HubSettings _settings;
    private readonly HubId _id;
    private readonly string _file, _etag;

    private long? _size;
    private FileHead? _head;
    private int _mismatches;

    /// <param name="session">The download that this file is part of.</param>
    /// <param name="id">The repository, at a commit.</param>
    /// <param name="file">The file's name.</param>
    /// <param name="etag">Its blob's name.</param>
    /// <param name="size">Bytes; null: not known yet.</param>
    /// <param name="head">The Hub's answer for it, where there is a fresh one.</param>
    public BlobDownload(DownloadSession session, HubId id, string file, string etag, long? size, FileHead? head)
    {
        (_client, _cache, _retries, _meter, _settings) = (session.Client, session.Cache, session.Retries, session.Meter, session.Settings);
        (_id, _file, _etag, _size, _head) = (id, file, etag, size, head);
    }

    /// <summary>Downloads the blob, unless it is here by then, and puts it into the snapshot.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        void Waiting() => _meter.Notify($"Another process is downloading {_file} of {_id.Repository}: waiting for it.");
        using FileLock held = await FileLock.TakeAsync(_cache.LockFile(_etag), Waiting, cancellation).ConfigureAwait(false);
        string part = _cache.PartOfBlob(_etag);
        if (RepositoryCache.Length(part) > _size) File.Delete(part);
        if (_size is { } size && _cache.HasBlob(_etag, size))
        {
            _meter.Adjust(size - (RepositoryCache.Length(part) ?? 0));
            File.Delete(part);
        }
        else
        {
            Directory.CreateDirectory(_cache.BlobFolder);
            try
            {
                // A try that brought enough begins the count of retries anew: fifty gigabytes may well break off more than five times.
                while (!await _retries.UnderWayAsync(token => TryAsync(part, token), cancellation).ConfigureAwait(false)) { }
            }
            catch (HubException e) when (e.Error == HubError.Corrupt)
            {
                File.Delete(part);                                  // not to be gone on from
                throw;
            }
            File.Move(part, _cache.Blob(_etag), overwrite: true);
        }
        _cache.AddToSnapshot(_id.Revision, _file, _etag);
        _meter.Finish();
    }

    /// <returns>True if the part is whole and right; false: the next try goes on where this one ended.</returns>
    private async ValueTask<bool> TryAsync(string part, CancellationToken cancellation)
    {
        FileHead head = _head ?? await _client.HeadAsync(_id, _file, missing: null, cancellation).ConfigureAwait(false);
        _head = null;                                               // its link may expire: the next try asks again
        Check(head);
        using var file = new FileStream(part, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
        long from = file.Length;
        if (from < _size || _size is null)
        {
            HubException? broken = await ReceiveAsync(head.Location, file, cancellation).ConfigureAwait(false);
            if (broken is not null)
                return file.Length - from >= BufferBytes ? false : throw broken;
        }
        if (await MismatchAsync(file, cancellation).ConfigureAwait(false) is { } found)
        {
            Restart(file);
            if (++_mismatches == 1) return false;                   // an old part may be what is broken
            throw new HubException(HubError.Corrupt, $"The file {_file} of {_id} does not have its hash after {_mismatches} downloads: "
                + $"{_etag} is promised, {found} came from {head.Location.Authority}. Nothing of it was kept; something on the way "
                + "changes it, or the Hub's copy is broken.");
        }
        file.Flush(flushToDisk: true);
        return true;
    }

    private void Check(FileHead head)
    {
        if (head.ETag != _etag)
        {
            throw new HubException(HubError.Corrupt,
                $"The Hub contradicts itself about the file {_file} of {_id}: it is listed as {_etag} and served as {head.ETag}. "
                + "Try again later.");
        }
        _size ??= head.Size;
        if (head.Size is { } size && size != _size) throw WrongSize(size);
    }

    /// <summary>Appends what the server sends.</summary>
    /// <returns>Why the transfer broke off; null: the file has its size.</returns>
    private async Task<HubException?> ReceiveAsync(Uri location, FileStream file, CancellationToken cancellation)
    {
        using HubAnswer answer = await _client.OpenAsync(_id, _file, location, file.Length, cancellation).ConfigureAwait(false);
        HttpContentHeaders headers = answer.Response.Content.Headers;
        if (headers.ContentEncoding.Any(encoding => encoding != "identity"))
            throw new HubException(HubError.Corrupt, $"{answer.Address.Authority} sends {_file} compressed, which it was asked not to do.");
        if (answer.Response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            Restart(file);
            return new HubException(HubError.Unreachable,
                $"{answer.Address.Authority} does not go on with {_file} of {_id}: it is downloaded from its start.");
        }
        if (answer.Response.StatusCode == HttpStatusCode.PartialContent)
        {
            if (headers.ContentRange is { } range && (range.From != file.Length || range.Length is { } whole && whole != (_size ?? whole)))
            {
                throw new HubException(HubError.Corrupt, $"{answer.Address.Authority} sends bytes {range} of {_file} of {_id}; "
                    + $"asked for were those from {file.Length} on, of {_size}.");
            }
        }
        else
        {
            Restart(file);                                          // 200: the whole file, whatever part was asked for
        }
        if (headers.ContentLength is { } length)
        {
            _size ??= file.Length + length;
            if (file.Length + length != _size) throw WrongSize(file.Length + length);
        }
        return await CopyAsync(answer, file, cancellation).ConfigureAwait(false);
    }

    private async Task<HubException?> CopyAsync(HubAnswer answer, FileStream file, CancellationToken cancellation)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        file.Seek(0, SeekOrigin.End);
        try
        {
            using Stream body = await answer.Response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            while (true)
            {
                int count;
                try
                {
                    silence.CancelAfter(_settings.Options.Timeout);
                    count = await body.ReadAsync(buffer, silence.Token).ConfigureAwait(false);
                }
                catch (Exception e) when (e is IOException or HttpRequestException || e is OperationCanceledException
                    && !cancellation.IsCancellationRequested)
                {
                    return Broken(answer, file, e);
                }
                if (count == 0) break;
                if (file.Length + count > _size) throw WrongSize(null);
                await file.WriteAsync(buffer.AsMemory(0, count), cancellation).ConfigureAwait(false);
                _meter.Receive(count);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        _size ??= file.Length;
        return file.Length < _size ? Broken(answer, file, null) : null;
    }

    private async Task<string?> MismatchAsync(FileStream file, CancellationToken cancellation)
    {
        using BlobHash hash = BlobHash.Start(_etag, file.Length);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            file.Seek(0, SeekOrigin.Begin);
            while (await file.ReadAsync(buffer, cancellation).ConfigureAwait(false) is > 0 and var count)
                hash.Append(buffer.AsSpan(0, count));
            return hash.Mismatch();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Restart(FileStream file)
    {
        _meter.Adjust(-file.Length);
        file.SetLength(0);
    }

    private HubException Broken(HubAnswer answer, FileStream file, Exception? cause) =>
        new(HubError.Unreachable, $"The transfer of {_file} of {_id} from {answer.Address.Authority} broke off after {file.Length} of "
            + $"{_size} bytes{(cause is null or OperationCanceledException ? "" : $" ({cause.Message})")}; the next download goes on from "
            + "there.", cause);

    private HubException WrongSize(long? found) =>
        new(HubError.Corrupt, $"The file {_file} of {_id} has {_size} bytes, and {(found is null ? "more" : found)} are sent: "
            + "a proxy may have answered in the Hub's place, or the Hub's copy is broken.");
}
