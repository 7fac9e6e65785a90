using System.Globalization;
using Microsoft.Data.Analysis;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Data frames of numbers as files.</summary>
internal static class TableFile
{
    /// <summary>A header and a line for each row; numbers as .NET reads them back exactly, in every culture.</summary>
    public static void SaveCsv(DataFrame table, string path) => WholeFile.Write(path, stream =>
    {
        using var buffer = new MemoryStream();                  // SaveCsv closes the stream that it is given
        DataFrame.SaveCsv(table, buffer, cultureInfo: CultureInfo.InvariantCulture);
        stream.Write(buffer.ToArray());
    });

    /// <summary>One row group, one column for each of the table's.</summary>
    public static void SaveParquet(DataFrame table, string path) =>
        WholeFile.Write(path, stream => Blocking.Run(() => WriteAsync(table, stream)));

    private static async Task WriteAsync(DataFrame table, Stream stream)
    {
        Field[] fields = [.. table.Columns.Select(column => new DataField(column.Name, column.DataType, isNullable: false))];
        var options = new ParquetOptions { CompressionMethod = CompressionMethod.Zstd };
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(new ParquetSchema(fields), stream, options);
        using ParquetRowGroupWriter group = writer.CreateRowGroup();
        foreach ((Field field, DataFrameColumn column) in fields.Zip(table.Columns))
        {
            var data = (DataField)field;
            Task written = column switch
            {
                PrimitiveDataFrameColumn<int> numbers => group.WriteAsync<int>(data, Values(numbers)),
                PrimitiveDataFrameColumn<long> numbers => group.WriteAsync<long>(data, Values(numbers)),
                PrimitiveDataFrameColumn<double> numbers => group.WriteAsync<double>(data, Values(numbers)),
                _ => throw new NotSupportedException($"{column.Name}: a column of {column.DataType} is not written."),
            };
            await written;
        }
        group.CompleteValidate();
    }

    private static T[] Values<T>(PrimitiveDataFrameColumn<T> column) where T : unmanaged => [.. column.Select(value => value!.Value)];
}
