namespace DiffusionGemma;

/// <summary>Reads a file whose end is replaced by other bytes.</summary>
/// <param name="file">The file, which this stream disposes.</param>
/// <param name="kept">Bytes of the file before its replaced end.</param>
/// <param name="tail">The bytes in place of the rest.</param>
internal sealed class ReplacedTailStream(Stream file, long kept, byte[] tail) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => kept + tail.Length;

    public override long Position { get; set; }

    public override int Read(Span<byte> buffer)
    {
        int read;
        if (Position < kept)
        {
            file.Position = Position;
            read = file.Read(buffer[..(int)Math.Min(buffer.Length, kept - Position)]);
        }
        else
        {
            ReadOnlySpan<byte> rest = tail.AsSpan((int)Math.Min(Position - kept, tail.Length));
            read = Math.Min(buffer.Length, rest.Length);
            rest[..read].CopyTo(buffer);
        }
        Position += read;
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        Task.FromResult(Read(buffer.AsSpan(offset, count)));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult(Read(buffer.Span));

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => Position + offset,
        _ => Length + offset,
    };

    public override void Flush()
    {
    }

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            file.Dispose();
        base.Dispose(disposing);
    }
}
