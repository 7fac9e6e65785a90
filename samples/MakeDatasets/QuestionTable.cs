using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Samples;

/// <summary>A parquet file with the text columns question and answer.</summary>
internal static class QuestionTable
{
    private const int RowsInGroup = 1000;

    public static async Task WriteAsync(string path, IReadOnlyList<QuestionAnswer> rows)
    {
        var question = new DataField("question", typeof(string), isNullable: false);
        var answer = new DataField("answer", typeof(string), isNullable: false);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + ".part";
        var options = new ParquetOptions { CompressionMethod = CompressionMethod.Zstd };
        await using (FileStream stream = File.Create(temporary))
        await using (ParquetWriter writer = await ParquetWriter.CreateAsync(new ParquetSchema(question, answer), stream, options))
        {
            foreach (QuestionAnswer[] part in rows.Chunk(RowsInGroup))
            {
                using ParquetRowGroupWriter group = writer.CreateRowGroup();
                await group.WriteAsync(question, [.. part.Select(row => row.Question)]);
                await group.WriteAsync(answer, [.. part.Select(row => row.Answer)]);
                group.CompleteValidate();
            }
        }
        File.Move(temporary, path, overwrite: true);
    }
}
