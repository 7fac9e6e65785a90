using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DiffusionGemma;

/// <summary>
/// A file mapped as read-only memory until it is disposed. The system may reclaim its pages at any time.
/// </summary>
internal sealed unsafe partial class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private readonly SafeFileHandle? _handle;
    private readonly DateTime _written;
    private bool _disposed;

    private MappedFile(string path, MemoryMappedFile mapping, long length, SafeFileHandle? handle)
    {
        Path = path;
        _handle = handle;
        if (handle is not null) _written = File.GetLastWriteTimeUtc(handle);
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
            stream = new FileStream(
                RegularFile.Require(path), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            if (stream.Length == 0) throw new CheckpointException(path, "is empty. Fetch or copy it again.");
            long length = stream.Length;
            var mapping = MemoryMappedFile.CreateFromFile(
                stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            return FromMapping(path, mapping, length, stream.SafeFileHandle);
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
    /// <param name="path">The file's path, for messages.</param>
    /// <param name="mapping">The mapping.</param>
    /// <param name="length">The file's length.</param>
    /// <param name="handle">The open file, which lives as long as the mapping; null: no other program can change it.</param>
    public static MappedFile FromMapping(string path, MemoryMappedFile mapping, long length, SafeFileHandle? handle = null)
    {
        try
        {
            return new MappedFile(path, mapping, length, handle);
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    /// <summary>Returns the address of the byte at an offset; valid until <see cref="Dispose"/>.</summary>
    /// <exception cref="CheckpointException">The file was cut short since it was opened: the system ends a process that reads beyond its
    /// end.</exception>
    public byte* At(long offset)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_handle is not null && RandomAccess.GetLength(_handle) is var now && now < Length)
            throw new CheckpointException(
                Path, $"was cut from {Length} to {now} bytes by another program while it was open. Fetch or copy it again.");
        return _start + offset;
    }

    /// <summary>Refuses a file that another program has written to since it was opened: its tensors may be of two versions.</summary>
    /// <exception cref="CheckpointException">It has.</exception>
    public void RequireUnchanged()
    {
        At(0);
        if (_handle is not null && File.GetLastWriteTimeUtc(_handle) != _written)
            throw new CheckpointException(Path, "was changed by another program while it was read. Load it again when it is whole.");
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
