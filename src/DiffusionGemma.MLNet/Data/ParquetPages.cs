using System.Buffers;
using Parquet.Meta;
using Snappier;
using ZstdSharp;

namespace DiffusionGemma;

/// <summary>Looks at the page headers of a column chunk before the column is read.</summary>
/// <remarks>
/// A column chunk is a run of pages, each with a header that tells its size before and after compression; the reader allocates what the
/// header claims, and for snappy and zstd what the compressed bytes do. (apache/parquet-format, PageHeader in parquet.thrift.)
/// </remarks>
internal static class ParquetPages
{
    // Fields of PageHeader, and of its data page headers.
    private const int UncompressedSize = 2, CompressedSize = 3, DataPage = 5, DataPageV2 = 8, ValueCount = 1, DefinitionBytes = 5,
        RepetitionBytes = 6, IsCompressed = 7;

    /// <summary>Bytes of a number in seven bits a byte, which a snappy text begins with.</summary>
    private const int LongestVarint = 10;

    /// <summary>Bytes that a column chunk may have whatever it was compressed to, and those for each compressed byte.</summary>
    private const long Plausible = 32 << 20, PerByte = 256;

    /// <summary>The same for values; the reader allocates up to 24 bytes for each.</summary>
    private const long PlausibleValues = 1 << 21, ValuesPerByte = 4096;

    private const int ZstdBlock = 128 << 10;

    /// <summary>Bytes of a header that are read at once. Most have 20 to 200; statistics of long texts are longer.</summary>
    private const int Window = 4096;

    /// <summary>
    /// Refuses pages that lie outside the file, and claims of more values or bytes than rows of text are ever compressed from: a chunk of
    /// 1 KB that claims 2 GB. Nulls and repeated values take few bytes, but not so few.
    /// </summary>
    /// <param name="file">The file; its position is changed.</param>
    /// <param name="column">The column chunk.</param>
    /// <exception cref="InvalidDataException">A page is so, or its header cannot be read.</exception>
    public static void Require(Stream file, ColumnMetaData column)
    {
        long at = column.DictionaryPageOffset is > 0 and { } dictionary
            ? Math.Min(dictionary, column.DataPageOffset) : column.DataPageOffset;
        if (column.NumValues < 0
            || column.NumValues > Math.Max(PlausibleValues, ValuesPerByte * Math.Min(column.TotalCompressedSize, file.Length)))
        {
            throw new InvalidDataException(
                $"a column claims {column.NumValues} values in {column.TotalCompressedSize} bytes; "
                + "fetch the file again, or write it with smaller row groups");
        }
        for (long values = 0, bytes = 0, claimed = 0; values < column.NumValues;)
        {
            ThriftStruct header = ReadHeader(file, ref at);
            long compressed = header.GetInteger(CompressedSize) ?? -1, size = header.GetInteger(UncompressedSize) ?? -1;
            if (compressed < 0 || compressed > file.Length - at || size < 0)
                throw new InvalidDataException(
                    $"a page claims {compressed} bytes at {at} of a file of {file.Length}; fetch the file again");
            bytes += compressed;
            claimed += Math.Max(size, FindInflatedSize(file, column.Codec, header, at, compressed));
            at += compressed;
            if (claimed > Math.Max(Plausible, PerByte * bytes))
                throw new InvalidDataException($"a column's pages of {bytes} bytes claim to become {claimed}; "
                    + "fetch the file again, or write it with smaller row groups");
            ThriftStruct? page = header.Get<ThriftStruct>(DataPage) ?? header.Get<ThriftStruct>(DataPageV2);
            values += Math.Max(page?.GetInteger(ValueCount) ?? 0, 0);
            if (values > column.NumValues)
                throw new InvalidDataException(
                    $"a column's pages claim {values} values, and the column {column.NumValues}; fetch the file again");
        }
    }

    /// <summary>The size that compressed bytes tell themselves, for the codecs whose reader allocates it; 0 for the others.</summary>
    private static long FindInflatedSize(Stream file, CompressionCodec codec, ThriftStruct header, long at, long compressed)
    {
        ThriftStruct? second = header.Get<ThriftStruct>(DataPageV2);
        if (codec is not (CompressionCodec.SNAPPY or CompressionCodec.ZSTD) || second?.Get<object>(IsCompressed) is false) return 0;
        // The levels of a second version's page lie before its values, and are not compressed.
        long levels = (second?.GetInteger(DefinitionBytes) ?? 0) + (second?.GetInteger(RepetitionBytes) ?? 0);
        if (levels < 0 || levels >= compressed) return 0;
        int length = (int)Math.Min(compressed - levels, codec == CompressionCodec.SNAPPY ? LongestVarint : int.MaxValue);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            file.Position = at + levels;
            file.ReadExactly(buffer, 0, length);
            ReadOnlySpan<byte> body = buffer.AsSpan(0, length);
            if (codec == CompressionCodec.SNAPPY) return Snappy.GetUncompressedLength(body);
            // Of a frame that does not tell its size this is a block for each of its blocks: one block alone says nothing.
            ulong size = Decompressor.GetDecompressedSize(body);
            return size <= ZstdBlock ? 0 : (long)Math.Min(size, long.MaxValue / 2);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
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
                if (ThriftCheck.FindLength(bytes, ParquetFields.PageHeader) is { } length)
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
