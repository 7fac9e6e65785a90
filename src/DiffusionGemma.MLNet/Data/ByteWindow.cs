namespace DiffusionGemma;

/// <summary>A part of a file in memory, which grows at its end and is used up from its start.</summary>
/// <remarks>A byte order mark of UTF-8 is left out.</remarks>
internal sealed class ByteWindow : IDisposable
{
    private const int FirstBufferSize = 1 << 16;

    private readonly FileStream _stream;
    private readonly WatchedFile _file;
    private byte[] _buffer = new byte[FirstBufferSize];
    private int _start, _end;

    public ByteWindow(string path)
    {
        _stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        _file = new WatchedFile(_stream);
        _end = _stream.ReadAtLeast(_buffer, 3, throwOnEndOfStream: false);
        _start = _buffer.AsSpan(0, _end).StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? 3 : 0;
    }

    /// <summary>Bytes that were read and are not used up; valid until the next <see cref="TryFill"/>.</summary>
    public ReadOnlyMemory<byte> Bytes => _buffer.AsMemory(_start, _end - _start);

    public void Advance(int count) => _start += count;

    /// <summary>Reads more; false at the end of the file.</summary>
    /// <exception cref="ChatDataException">It is another end than the file had.</exception>
    public bool TryFill()
    {
        int length = _end - _start;
        byte[] target = length > _buffer.Length / 2 ? new byte[checked(_buffer.Length * 2)] : _buffer;
        _buffer.AsSpan(_start, length).CopyTo(target);
        (_buffer, _start, _end) = (target, 0, length);
        int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        if (read == 0) _file.RequireUnchanged();
        return read > 0;
    }

    public void Dispose() => _stream.Dispose();
}
