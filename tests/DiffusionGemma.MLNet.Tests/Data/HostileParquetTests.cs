using System.Buffers.Binary;
using Microsoft.ML;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Data;

/// <summary>Files whose footer or pages say what is not so: each is refused by name, in bounded memory.</summary>
public sealed class HostileParquetTests : IDisposable
{
    private const int RowGroups = 4, Columns = 1, Rows = 3, MetaData = 3, Values = 5, DataPage = 9, UncompressedSize = 2;

    private const long SmallBytes = 64 << 20;

    private readonly MLContext _ml = new(seed: 1);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("parquet");

    private string Path => _folder.File("rows.parquet");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(2, "claims 2 rows, and its column 'question' has more")]
    [InlineData(0, "claims 0 rows, and its column 'question' has more")]
    [InlineData(4, "")]
    [InlineData(1L << 60, "")]
    [InlineData(-1, "claims -1 rows")]
    public async Task Another_number_of_rows_than_the_columns_have_is_refused(long rows, string reason)
    {
        await WriteAsync("one", "two", "three");
        ChangeFooter(footer => Group(footer).Set(Rows, ThriftStruct.Int64, rows));
        Refused(reason);
    }

    [Theory]
    [InlineData(1L << 40, "a column claims 1099511627776 values")]
    [InlineData(1L << 23, "a column claims 8388608 values")]
    [InlineData(-1, "a column claims -1 values")]
    [InlineData(2, "pages claim 3 values, and the column 2")]
    public async Task Another_number_of_values_than_the_pages_have_is_refused(long values, string reason)
    {
        await WriteAsync("one", "two", "three");
        ChangeFooter(footer => Column(footer).Set(Values, ThriftStruct.Int64, values));
        Refused(reason);
    }

    [Theory]
    [InlineData(-1L)]
    [InlineData(1L << 60)]
    public async Task A_page_outside_the_file_is_refused(long offset)
    {
        await WriteAsync("one", "two", "three");
        ChangeFooter(footer => Column(footer).Set(DataPage, ThriftStruct.Int64, offset));
        Refused("");
    }

    /// <summary>A reader that takes a number for a list reads on for ever.</summary>
    [Fact]
    public async Task A_footer_whose_list_is_a_number_is_refused()
    {
        const int KeyValues = 8;
        await WriteAsync("one", "two", "three");
        ChangeFooter(footer => Column(footer).Set(KeyValues, ThriftStruct.Int64, 101L));
        Refused("its footer is not whole, or no parquet footer");
    }

    [Fact]
    public async Task A_page_header_whose_struct_is_a_number_is_refused()
    {
        const int DictionaryHeader = 7;
        await WriteAsync("one", "two", "three");
        ChangePage(DictionaryHeader, 101);
        Refused("no page's header is at 4");
    }

    /// <summary>Two gigabytes would be allocated for them.</summary>
    [Theory]
    [InlineData(CompressionMethod.None)]
    [InlineData(CompressionMethod.Snappy)]
    [InlineData(CompressionMethod.Gzip)]
    [InlineData(CompressionMethod.Zstd)]
    [InlineData(CompressionMethod.Brotli)]
    [InlineData(CompressionMethod.Lz4Raw)]
    public async Task A_page_that_claims_to_inflate_to_two_gigabytes_is_refused(CompressionMethod method)
    {
        await WriteAsync(method, "one", "two", "three");
        ChangePage(UncompressedSize, 2_000_000_000);
        Refused("bytes claim to become 2000000000");
    }

    /// <summary>A few bytes may claim 32 MB: the reader allocates so much and as much again.</summary>
    [Fact]
    public async Task A_page_of_a_few_bytes_that_claims_33_megabytes_is_refused()
    {
        await WriteAsync("one", "two", "three");
        ChangePage(UncompressedSize, 33 << 20);
        Refused("bytes claim to become 34603008");
    }

    /// <summary>A snappy text begins with the size that it inflates to, whatever the page's header says.</summary>
    [Fact]
    public async Task A_snappy_text_that_claims_two_gigabytes_is_refused()
    {
        await WriteAsync("one", "two", "three");
        ChangePage(UncompressedSize, 31, [0xFF, 0xFF, 0xFF, 0xFF, 0x07]);
        Refused("bytes claim to become 2147483647");
    }

    /// <summary>A few hundred kilobytes that inflate to 80 MB; a zstd frame tells so itself.</summary>
    [Theory]
    [InlineData(CompressionMethod.Gzip, true)]
    [InlineData(CompressionMethod.Zstd, true)]
    [InlineData(CompressionMethod.Zstd, false)]
    public async Task Pages_that_inflate_a_hundredfold_are_refused(CompressionMethod method, bool headerSaysSo)
    {
        await WriteAsync(method, [.. Enumerable.Range(0, 1280).Select(n => $"{n}{new string('a', 1 << 16)}")]);
        Assert.InRange(new FileInfo(Path).Length, 0, 80_000_000 / 100);
        if (!headerSaysSo) ChangePage(UncompressedSize, 1000);
        Refused("bytes claim to become 8389");
    }

    private void Refused(string reason)
    {
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<ChatDataException>(() => Views.Dump(_ml.Data.LoadChatFromParquet(Path, "question")));
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.Equal(Path, error.File);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.True(bytes < SmallBytes, $"{bytes:N0} bytes");
    }

    private Task WriteAsync(params string[] questions) => WriteAsync(CompressionMethod.Snappy, questions);

    private async Task WriteAsync(CompressionMethod method, params string[] questions)
    {
        var schema = new ParquetSchema(new DataField("question", typeof(string), isNullable: false));
        await using FileStream stream = File.Create(Path);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(
            schema, stream, new ParquetOptions { CompressionMethod = method }, cancellationToken: TestContext.Current.CancellationToken);
        using ParquetRowGroupWriter rows = writer.CreateRowGroup();
        await rows.WriteAsync<ReadOnlyMemory<char>>(schema.DataFields[0], questions.Select(text => text.AsMemory()).ToArray(),
            cancellationToken: TestContext.Current.CancellationToken);
    }

    private static ThriftStruct Group(ThriftStruct footer) => (ThriftStruct)footer.Get<ThriftList>(RowGroups)!.Items[0];

    private static ThriftStruct Column(ThriftStruct footer) =>
        ((ThriftStruct)Group(footer).Get<ThriftList>(Columns)!.Items[0]).Get<ThriftStruct>(MetaData)!;

    /// <summary>Changes a number in the header of the first page, and the bytes that the page begins with.</summary>
    private void ChangePage(int field, long value, byte[]? start = null)
    {
        long at = 0;
        ChangeFooter(footer => at = Column(footer).GetInteger(DataPage)!.Value);
        byte[] file = File.ReadAllBytes(Path);
        ReadOnlySpan<byte> rest = file.AsSpan((int)at);
        ThriftStruct page = ThriftStruct.Read(ref rest);
        page.Set(field, ThriftStruct.Int32, value);
        List<byte> header = [];
        page.Write(header);
        byte[] body = rest.ToArray();
        start?.CopyTo(body, 0);
        File.WriteAllBytes(Path, [.. file.AsSpan(0, (int)at), .. header, .. body]);
    }

    private void ChangeFooter(Action<ThriftStruct> change)
    {
        byte[] file = File.ReadAllBytes(Path);
        int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(^8)), start = file.Length - 8 - length;
        ReadOnlySpan<byte> bytes = file.AsSpan(start, length);
        ThriftStruct footer = ThriftStruct.Read(ref bytes);
        change(footer);
        List<byte> written = [];
        footer.Write(written);
        File.WriteAllBytes(Path, [.. file.AsSpan(0, start), .. written, .. BitConverter.GetBytes(written.Count), .. "PAR1"u8]);
    }
}
