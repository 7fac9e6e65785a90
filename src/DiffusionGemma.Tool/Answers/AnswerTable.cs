using System.Text.Json;
using System.Text.Json.Nodes;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Writes the output: a row for each of the input, in its order, under a temporary name until it is whole.</summary>
internal static class AnswerTable
{
    private const int RowsInGroup = 1000;

    private static readonly JsonSerializerOptions Json = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <param name="path">
    /// The file, .parquet or .jsonl. One that is there is replaced: the run was killed when it had written it and before its journal was
    /// gone.
    /// </param>
    /// <param name="asked">The name of the first column.</param>
    /// <param name="isMessages">True where that column holds messages as JSON, false where it holds questions.</param>
    /// <param name="rows">The rows.</param>
    public static async Task WriteAsync(string path, string asked, bool isMessages, IEnumerable<TableRow> rows)
    {
        string temporary = path + ".part";
        try
        {
            if (DataFiles.IsParquet(path)) await WriteParquetAsync(temporary, asked, rows);
            else await File.WriteAllLinesAsync(temporary, rows.Select(row => Line(asked, isMessages, row)));
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            HalfWritten.Delete(temporary);
            throw;
        }
    }

    /// <summary>A line of JSON; messages stay messages.</summary>
    private static string Line(string asked, bool isMessages, TableRow row)
    {
        JsonNode? question = row.Asked is null ? null : isMessages ? JsonNode.Parse(row.Asked) : JsonValue.Create(row.Asked);
        var line = new JsonObject { [asked] = question };
        line["response"] = row.Answer.Response;
        line["tokens_per_forward"] = row.Answer.TokensPerForward;
        line["steps"] = row.Answer.Steps;
        if (row.Answer.Error.Length > 0) line["error"] = row.Answer.Error;
        return line.ToJsonString(Json);
    }

    private static async Task WriteParquetAsync(string temporary, string asked, IEnumerable<TableRow> rows)
    {
        var question = new DataField(asked, typeof(string), isNullable: true);
        var response = new DataField("response", typeof(string), isNullable: false);
        var tokensPerForward = new DataField<float>("tokens_per_forward");
        var steps = new DataField<int>("steps");
        var error = new DataField("error", typeof(string), isNullable: true);
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
    }
}
