using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using Parquet;
using Parquet.Meta;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Reads a parquet file as rows of JSON.</summary>
/// <remarks>Every fault of the file is a <see cref="ChatDataException"/> that names it.</remarks>
internal sealed class ParquetFile : IDisposable
{
    // A parquet file ends in its footer, the footer's length in four bytes, and the magic bytes.
    private const int TailLength = 8;

    private static ReadOnlySpan<byte> Magic => "PAR1"u8;

    private readonly ParquetReader _reader;
    private readonly Stream _stream;
    private readonly WatchedFile? _file;

    private ParquetFile(string path, ParquetReader reader, Stream stream, WatchedFile? file)
    {
        _stream = stream;
        _file = file;
        Path = path;
        _reader = reader;
        Columns = reader.Schema.Fields;
        RowCount = CountRows(reader.Metadata?.RowGroups ?? []);
    }

    public string Path { get; }

    public IReadOnlyList<Field> Columns { get; }

    public long RowCount { get; }

    public static ParquetFile Open(string path) => Open(path, new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read));

    /// <summary>Opens a file from a stream, which the result disposes.</summary>
    internal static ParquetFile Open(string path, Stream stream)
    {
        try
        {
            WatchedFile? file = stream is FileStream opened ? new WatchedFile(opened) : null;
            byte[] footer = ReadFooter(stream, path);
            return Checked(path, row: null, () =>
            {
                long length = stream.Length;
                stream = new ReplacedTailStream(
                    stream, length - TailLength - footer.Length, WithTail(ParquetCompatibility.Rewrite(footer) ?? footer));
                ParquetReader reader = Blocking.Run(() => ParquetReader.CreateAsync(stream, leaveStreamOpen: false));
                return new ParquetFile(path, reader, stream, file);
            });
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public Field? Find(string name) => Columns.FirstOrDefault(column => column.Name == name);

    public static bool IsText(Field column) => column is DataField { IsArray: false } data && data.ClrType == typeof(ReadOnlyMemory<char>);

    public static string Describe(Field column) => column switch
    {
        DataField { IsArray: false } data => $"values of {data.ClrType.Name}",
        DataField data => $"lists of {data.ClrType.Name}",
        ListField list => $"a list of {Describe(list.Item)}",
        _ => $"a {column.SchemaType.ToString().ToLowerInvariant()}",
    };

    /// <summary>Reads each row as an object with a key for each column that is not null.</summary>
    /// <remarks>A row's memory is valid until the next row is read.</remarks>
    public IEnumerable<ReadOnlyMemory<byte>> ReadRows(IReadOnlyList<Field> columns)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { SkipValidation = true });
        long number = 0;
        for (int group = 0; group < _reader.RowGroupCount; group++)
        {
            using ParquetRowGroupReader groupReader = Checked(Path, number, () => _reader.OpenRowGroupReader(group));
            using ParquetRecords records = Checked(Path, number, () => new ParquetRecords(groupReader, columns, _stream));
            _file?.RequireUnchanged();
            for (long row = 0; row < groupReader.RowCount; row++)
            {
                buffer.ResetWrittenCount();
                writer.Reset();
                Checked(Path, number++, () => records.WriteNext(writer));
                yield return buffer.WrittenMemory;
            }
            Checked(Path, number, () => records.RequireEnd(group, groupReader.RowCount));
        }
    }

    public void Dispose() => Blocking.Run(() => _reader.DisposeAsync().AsTask());

    /// <summary>Checks the magic bytes and reads the footer at the end of the file.</summary>
    /// <remarks>
    /// A reader that trusts a wrong length allocates that much memory, and one that trusts a broken footer reads on for ever.
    /// </remarks>
    private static byte[] ReadFooter(Stream stream, string path)
    {
        Span<byte> head = stackalloc byte[4], tail = stackalloc byte[TailLength];
        if (stream.Length < head.Length + TailLength)
            throw Bad($"this is no parquet file: it has only {stream.Length} bytes");
        stream.ReadExactly(head);
        stream.Seek(-TailLength, SeekOrigin.End);
        stream.ReadExactly(tail);
        if (!head.SequenceEqual(Magic))
            throw Bad("this is no parquet file: it does not begin with PAR1");
        if (!tail[4..].SequenceEqual(Magic))
            throw Bad("the parquet file is cut short: it does not end with PAR1; fetch it again");
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(tail);
        if (length > stream.Length - head.Length - TailLength)
            throw Bad($"the parquet file is damaged: its footer claims {length} bytes of a file of {stream.Length}; fetch it again");
        byte[] footer = new byte[length];
        stream.Seek(-TailLength - length, SeekOrigin.End);
        stream.ReadExactly(footer);
        stream.Seek(0, SeekOrigin.Begin);
        if (!ThriftCheck.IsWhole(footer, ParquetFields.Footer))
            throw Bad("the parquet file is damaged: its footer is not whole, or no parquet footer; fetch it again");
        return footer;

        ChatDataException Bad(string reason) => new(reason, new ChatPosition(path));
    }

    /// <summary>Counts the rows of all groups; the footer's own number of them may be another.</summary>
    private static long CountRows(IReadOnlyList<RowGroup> groups)
    {
        for (int n = 0; n < groups.Count; n++)
            if (groups[n].NumRows < 0)
                throw new InvalidDataException($"row group {n} claims {groups[n].NumRows} rows; fetch the file again");
        return groups.Sum(group => group.NumRows);
    }

    private static byte[] WithTail(byte[] footer)
    {
        byte[] length = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(length, (uint)footer.Length);
        return [.. footer, .. length, .. Magic];
    }

    private static void Checked(string path, long? row, Action read) => Checked(path, row, () =>
    {
        read();
        return true;
    });

    // Parquet.Net answers damaged bytes with whatever they make it run into.
    private static T Checked<T>(string path, long? row, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (InvalidRowException error)
        {
            throw new ChatDataException(error.Message, new ChatPosition(path, Row: row), error.InnerException);
        }
        catch (Exception error) when (error is not ChatDataException)
        {
            throw new ChatDataException($"the parquet file is damaged or of a kind that cannot be read: {error.Message}",
                new ChatPosition(path, Row: row), error);
        }
    }
}
