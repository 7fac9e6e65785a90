using System.Collections;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DiffusionGemma;

/// <summary>
/// Packed rows, written once and then read in any order by any thread: in memory, or beyond a limit in a temporary file that is mapped. The
/// file goes with the store; on Unix it has no name from the start, so that not even a killed process leaves it behind.
/// </summary>
public sealed class PackedRowStore : IReadOnlyList<TrainingExample>, IDisposable
{
    private const int BufferBytes = 1 << 20, HeaderNumbers = 3, ObjectBytes = 120;
    private const long ForgetAfter = 16 << 20;
    private readonly long _limit;
    private readonly string _folder;
    private readonly Lock _lock = new();
    private readonly List<TrainingExample> _rows = [];
    private readonly List<long> _offsets = [];
    private readonly MemoryStream _buffer = new();
    private string _path = "";
    private SafeFileHandle? _file;
    private MappedFile? _map;
    private long _written, _memory, _touched;
    private bool _disposed;

    /// <summary>An empty store.</summary>
    /// <param name="maxBytesInMemory">Bytes that rows may take of memory; when there are more, all go to a file.</param>
    /// <param name="scratchFolder">Where that file is made; null: the system's folder for temporary files.</param>
    public PackedRowStore(long maxBytesInMemory = DefaultMaxBytes, string? scratchFolder = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxBytesInMemory);
        _limit = maxBytesInMemory;
        _folder = scratchFolder ?? Path.GetTempPath();
    }

    /// <summary>1 GiB: a million rows of two hundred tokens.</summary>
    public const long DefaultMaxBytes = 1L << 30;

    /// <inheritdoc/>
    public int Count => IsSpilled ? _offsets.Count : _rows.Count;

    /// <summary>True when the rows are in a file.</summary>
    public bool IsSpilled => _file is not null;

    /// <summary>A row; one in the file is read anew each time.</summary>
    public TrainingExample this[int index]
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            if (!IsSpilled) return _rows[index];
            lock (_lock) return Read(_offsets[index]);
        }
    }

    /// <summary>Puts a row at the end.</summary>
    /// <exception cref="TrainingException">The temporary file cannot be written: the disk is full, or the folder may not be written to. The
    /// store cannot be used any more.</exception>
    public void Add(TrainingExample row)
    {
        ArgumentNullException.ThrowIfNull(row);
        ObjectDisposedException.ThrowIf(_disposed, this);
        lock (_lock)
        {
            if (IsSpilled)
            {
                Write(row);
                return;
            }
            _rows.Add(row);
            _memory += ObjectBytes + 5L * row.InputIds.Length;
            if (_memory > _limit) Spill();
        }
    }

    /// <inheritdoc/>
    public IEnumerator<TrainingExample> GetEnumerator()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        for (int index = 0; index < Count; index++) yield return this[index];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Frees the rows, and deletes the file.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _map?.Dispose();
        _file?.Dispose();
        _rows.Clear();
        // a mapped file's name cannot go before
        if (OperatingSystem.IsWindows() && _path.Length > 0) File.Delete(_path);
    }

    private void Spill()
    {
        _path = Path.Combine(_folder, $"diffusiongemma-rows-{Guid.NewGuid():N}.tmp");
        Guarded(() =>
        {
            Directory.CreateDirectory(_folder);
            _file = File.OpenHandle(
                _path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete, FileOptions.RandomAccess);
            if (!OperatingSystem.IsWindows()) File.Delete(_path);
        });
        foreach (TrainingExample row in _rows) Write(row);
        _rows.Clear();
        _rows.Capacity = 0;
    }

    /// <summary>
    /// Three numbers (tokens, first canvas, padded length), the ids, and the mask a byte a token; rows start at multiples of four.
    /// </summary>
    private void Write(TrainingExample row)
    {
        if (row.LossMask.Length != row.InputIds.Length)
            throw new TrainingException(
                $"Row {_offsets.Count} has {row.InputIds.Length} ids but {row.LossMask.Length} mask values.")
            { Row = _offsets.Count };
        _offsets.Add(_written + _buffer.Length);
        ReadOnlySpan<int> header = [row.InputIds.Length, row.PrefixLength, row.PaddedLength];
        _buffer.Write(MemoryMarshal.AsBytes(header));
        _buffer.Write(MemoryMarshal.AsBytes<int>(row.InputIds));
        _buffer.Write(MemoryMarshal.AsBytes<bool>(row.LossMask));
        _buffer.Write(stackalloc byte[3 - (row.LossMask.Length + 3) % 4]);
        if (_buffer.Length >= BufferBytes) Flush();
    }

    private void Flush() => Guarded(() =>
    {
        _map?.Dispose();                                                                                  // of a shorter file
        _map = null;
        RandomAccess.Write(_file!, _buffer.GetBuffer().AsSpan(0, (int)_buffer.Length), _written);
        _written += _buffer.Length;
        _buffer.SetLength(0);
    });

    private TrainingExample Read(long offset)
    {
        if (_buffer.Length > 0) Flush();
        if (_map is null)
            Guarded(
                () => _map = MappedFile.FromMapping(_path,
                    MemoryMappedFile.CreateFromFile(
                        _file!, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true), _written));
        ReadOnlySpan<int> header = MemoryMarshal.Cast<byte, int>(_map!.Bytes(offset, HeaderNumbers * sizeof(int)));
        int length = header[0];
        offset += HeaderNumbers * sizeof(int);
        var row = new TrainingExample(
            MemoryMarshal.Cast<byte, int>(_map.Bytes(offset, length * sizeof(int))).ToArray(),
            MemoryMarshal.Cast<byte, bool>(_map.Bytes(offset + length * sizeof(int), length)).ToArray(), header[1], header[2]);
        if ((_touched += 5L * length) > ForgetAfter)
        {
            // pages that were read would count as this process's memory
            _map.ReleasePages(0, _written);
            _touched = 0;
        }
        return row;
    }

    private void Guarded(Action act)
    {
        try
        {
            act();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            Dispose();
            throw new TrainingException(
                $"{_path}: the packed rows do not fit into {_limit} bytes of memory, and cannot be put into a temporary file "
                    + $"({e.Message}). Make room there, name another "
                + "scratchFolder, or raise maxBytesInMemory.", e)
            {
                Path = _path,
            };
        }
    }
}
