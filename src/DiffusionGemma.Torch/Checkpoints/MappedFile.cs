using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>
/// A file's bytes as read-only memory, for as long as this is not disposed: no page of it is held that the system wants back.
/// </summary>
internal sealed unsafe partial class MappedFile : IDisposable
{
    private readonly MemoryMappedFile file;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* start;
    private bool disposed;

    private MappedFile(string path, MemoryMappedFile mapping, long length)
    {
        Path = path;
        Length = length;
        file = mapping;
        view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* first = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref first);
        start = first + view.PointerOffset;
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
            return Of(path, MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false), length);
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

    /// <summary>A mapping that is made already, and is this object's from now on.</summary>
    public static MappedFile Of(string path, MemoryMappedFile mapping, long length)
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

    /// <summary>The byte at an offset; valid until <see cref="Dispose"/>.</summary>
    public byte* At(long offset)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        return start + offset;
    }

    public ReadOnlySpan<byte> Bytes(long offset, int length) => new(At(offset), length);

    /// <summary>
    /// Takes pages that were read out of the process: a checkpoint that was copied to where it computes would otherwise count twice in the
    /// process's memory. They come back from the file when they are read again.
    /// </summary>
    public void Forget(long offset, long length)
    {
        if (!OperatingSystem.IsLinux()) return;                          // elsewhere the system takes them when it wants them
        const int dontNeed = 4;
        long page = Environment.SystemPageSize, first = ((long)At(offset) + page - 1) / page * page, end = (long)At(offset + length) / page * page;
        if (end > first) _ = madvise((nint)first, (nuint)(end - first), dontNeed);
    }

    [LibraryImport("libc")]
    private static partial int madvise(nint address, nuint length, int advice);

    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
    }
}
