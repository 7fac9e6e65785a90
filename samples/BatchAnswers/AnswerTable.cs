using Parquet;
using Parquet.Schema;

namespace DiffusionGemma.Samples;

/// <summary>A row of the output.</summary>
/// <param name="Asked">The question, or the messages as JSON; null where the row could not be read.</param>
/// <param name="Answer">What was answered.</param>
internal readonly record struct TableRow(string? Asked, AnsweredRow Answer);

/// <summary>Writes the output: a row for each of the input, in its order, under a temporary name until it is whole.</summary>
internal static class AnswerTable
{
    private const int RowsInGroup = 1000;

    /// <param name="path">The file. One that is there is replaced: the run was killed when it had written it and before its journal was
    /// gone.</param>
    /// <param name="asked">The name of the first column.</param>
    /// <param name="rows">The rows.</param>
    public static async Task WriteAsync(string path, string asked, IEnumerable<TableRow> rows)
    {
        var question = new DataField(asked, typeof(string), isNullable: true);
        var response = new DataField("response", typeof(string), isNullable: false);
        var tokensPerForward = new DataField<float>("tokens_per_forward");
        var steps = new DataField<int>("steps");
        var error = new DataField("error", typeof(string), isNullable: true);
        string temporary = path + ".part";
        var options = new ParquetOptions { CompressionMethod = CompressionMethod.Zstd };
        await using (FileStream stream = File.Create(temporary))
        await using (ParquetWriter writer = await ParquetWriter.CreateAsync(new ParquetSchema(question, response, tokensPerForward, steps,
            error), stream, options))
        {
            foreach (TableRow[] part in rows.Chunk(RowsInGroup))
            {
                using ParquetRowGroupWriter group = writer.CreateRowGroup();
                await group.WriteAsync(question, [.. part.Select(row => row.Asked)]);
                await group.WriteAsync(response, [.. part.Select(row => row.Answer.Response)]);
                await group.WriteAsync<float>(tokensPerForward, part.Select(row => row.Answer.TokensPerForward).ToArray());
                await group.WriteAsync<int>(steps, part.Select(row => row.Answer.Steps).ToArray());
                await group.WriteAsync(error, [.. part.Select(row => row.Answer.Error.Length > 0 ? row.Answer.Error : null)]);
                group.CompleteValidate();
            }
        }
        File.Move(temporary, path, overwrite: true);
    }
}
