using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// A file mapped as read-only memory until it is disposed. The system may reclaim its pages at any time.
/// </summary>
internal sealed unsafe partial class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private bool _disposed;

    private MappedFile(string path, MemoryMappedFile mapping, long length)
    {
        Path = path;
        Length = length;
        _file = mapping;
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* first = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref first);
        _start = first + _view.PointerOffset;
    }

    public string Path { get; }

    public long Length { get; }

    public static MappedFile Open(string path)
    {
        FileStream? stream = null;
        try
        {
            // Delete: the file may be renamed over while it is mapped, as saving does; the mapping keeps the old bytes.
            stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            if (stream.Length == 0) throw new CheckpointException(path, "is empty. Fetch or copy it again.");
            long length = stream.Length;
            var mapping = MemoryMappedFile.CreateFromFile(
                stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            return FromMapping(path, mapping, length);
        }
        catch (Exception e)
        {
            stream?.Dispose();
            throw e switch
            {
                CheckpointException => e,
                FileNotFoundException or DirectoryNotFoundException => new CheckpointException(path, "does not exist.", e),
                IOException or UnauthorizedAccessException => new CheckpointException(path, $"cannot be read: {e.Message}", e),
                _ => e,
            };
        }
    }

    /// <summary>Takes over an existing mapping, also when it throws.</summary>
    public static MappedFile FromMapping(string path, MemoryMappedFile mapping, long length)
    {
        try
        {
            return new MappedFile(path, mapping, length);
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    /// <summary>Returns the address of the byte at an offset; valid until <see cref="Dispose"/>.</summary>
    public byte* At(long offset)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _start + offset;
    }

    public ReadOnlySpan<byte> Bytes(long offset, int length) => new(At(offset), length);

    /// <summary>
    /// Releases pages that were read: a checkpoint that was copied to its device would otherwise count twice in the process's memory. The
    /// system reads them from the file again when they are used.
    /// </summary>
    public void ReleasePages(long offset, long length)
    {
        if (!OperatingSystem.IsLinux()) return;                          // elsewhere the system reclaims them by itself
        const int dontNeed = 4;
        long page = Environment.SystemPageSize;
        long first = ((long)At(offset) + page - 1) / page * page, end = (long)At(offset + length) / page * page;
        if (end > first) _ = madvise((nint)first, (nuint)(end - first), dontNeed);
    }

    [LibraryImport("libc")]
    private static partial int madvise(nint address, nuint length, int advice);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
