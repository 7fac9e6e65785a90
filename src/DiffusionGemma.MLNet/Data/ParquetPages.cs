using System.Buffers;
using Parquet.Meta;

namespace DiffusionGemma;

/// <summary>Looks at the page headers of a column chunk before the column is read.</summary>
/// <remarks>
/// A column chunk is a run of pages, each with a header that tells its size before and after compression; the reader allocates what the
/// header claims. (apache/parquet-format, PageHeader in parquet.thrift.)
/// </remarks>
internal static class ParquetPages
{
    // Fields of PageHeader, and of its data page headers.
    private const int UncompressedSize = 2, CompressedSize = 3, DataPage = 5, DataPageV2 = 8, ValueCount = 1;

    /// <summary>Bytes that a column chunk may have whatever it was compressed to, and those for each compressed byte.</summary>
    private const long Plausible = 64 << 20, PerByte = 256;

    /// <summary>Bytes of a header that are read at once. Most have 20 to 200; statistics of long texts are longer.</summary>
    private const int Window = 4096;

    /// <summary>
    /// Refuses pages that lie outside the file, or claim more bytes than rows of text are ever compressed from: a chunk of 1 KB that claims
    /// 2 GB.
    /// </summary>
    /// <param name="file">The file; its position is changed.</param>
    /// <param name="column">The column chunk.</param>
    /// <exception cref="InvalidDataException">A page is so, or its header cannot be read.</exception>
    public static void Require(Stream file, ColumnMetaData column)
    {
        long at = column.DictionaryPageOffset is > 0 and { } dictionary
            ? Math.Min(dictionary, column.DataPageOffset) : column.DataPageOffset;
        for (long values = 0, bytes = 0, claimed = 0; values < column.NumValues;)
        {
            ThriftStruct header = ReadHeader(file, ref at);
            long compressed = header.GetInteger(CompressedSize) ?? -1, size = header.GetInteger(UncompressedSize) ?? -1;
            if (compressed < 0 || compressed > file.Length - at || size < 0)
                throw new InvalidDataException(
                    $"a page claims {compressed} bytes at {at} of a file of {file.Length}; fetch the file again");
            (bytes, claimed, at) = (bytes + compressed, claimed + size, at + compressed);
            if (claimed > Math.Max(Plausible, PerByte * bytes))
                throw new InvalidDataException($"a column's pages of {bytes} bytes claim to become {claimed}; "
                    + "fetch the file again, or write it with smaller row groups");
            ThriftStruct? page = header.Get<ThriftStruct>(DataPage) ?? header.Get<ThriftStruct>(DataPageV2);
            values += Math.Max(page?.GetInteger(ValueCount) ?? 0, 0);
        }
    }

    private static ThriftStruct ReadHeader(Stream file, ref long at)
    {
        for (int size = Window; ; size *= 2)
        {
            byte[] buffer = ArrayPool<byte>.Shared.Rent(size);
            try
            {
                file.Position = at;
                int read = file.ReadAtLeast(buffer.AsSpan(0, size), size, throwOnEndOfStream: false);
                ReadOnlySpan<byte> bytes = buffer.AsSpan(0, read);
                if (ParquetFooter.FindLength(bytes) is { } length)
                {
                    at += length;
                    return ThriftStruct.Read(ref bytes);
                }
                if (read < size) throw new InvalidDataException($"no page's header is at {at}; fetch the file again");
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }
}
