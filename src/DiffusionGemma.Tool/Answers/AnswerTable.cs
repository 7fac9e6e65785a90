using System.Text.Json;
using System.Text.Json.Nodes;
using Parquet;
using Parquet.Schema;

namespace DiffusionGemma;

/// <summary>Writes the output: a row for each of the input, in its order, under a temporary name until it is whole.</summary>
internal static class AnswerTable
{
    private const int RowsInGroup = 1000;

    /// <summary>Columns of the answer; a key of the input's row with one of these names is replaced.</summary>
    private static readonly string[] OfAnswer = ["response", "tokens_per_forward", "steps", "error"];

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
    /// <param name="others">Other keys that the rows have; in parquet columns of text, with JSON where a value is no text.</param>
    /// <param name="rows">The rows.</param>
    public static async Task WriteAsync(
        string path, string asked, bool isMessages, IEnumerable<string> others, IEnumerable<TableRow> rows)
    {
        string[] kept = [.. others.Where(name => name != asked && !OfAnswer.Contains(name))];
        string temporary = path + ".part";
        try
        {
            if (DataFiles.IsParquet(path)) await WriteParquetAsync(temporary, asked, kept, rows);
            else await File.WriteAllLinesAsync(temporary, rows.Select(row => Line(asked, isMessages, kept, row)));
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            HalfWritten.Delete(temporary);
            throw;
        }
    }

    /// <summary>A line of JSON; messages stay messages.</summary>
    private static string Line(string asked, bool isMessages, string[] kept, TableRow row)
    {
        JsonNode? question = row.Asked is null ? null : isMessages ? JsonNode.Parse(row.Asked) : JsonValue.Create(row.Asked);
        var line = new JsonObject { [asked] = question };
        foreach (OtherValue other in row.Others)
            if (kept.Contains(other.Name)) line[other.Name] = JsonNode.Parse(other.Json);
        line["response"] = row.Answer.Response;
        line["tokens_per_forward"] = row.Answer.TokensPerForward;
        line["steps"] = row.Answer.Steps;
        if (row.Answer.Error.Length > 0) line["error"] = row.Answer.Error;
        return line.ToJsonString(Json);
    }

    private static async Task WriteParquetAsync(string temporary, string asked, string[] kept, IEnumerable<TableRow> rows)
    {
        var question = new DataField(asked, typeof(string), isNullable: true);
        var response = new DataField("response", typeof(string), isNullable: false);
        var tokensPerForward = new DataField<float>("tokens_per_forward");
        var steps = new DataField<int>("steps");
        var error = new DataField("error", typeof(string), isNullable: true);
        DataField[] others = [.. kept.Select(name => new DataField(name, typeof(string), isNullable: true))];
        var options = new ParquetOptions { CompressionMethod = CompressionMethod.Zstd };
        await using (FileStream stream = File.Create(temporary))
        await using (ParquetWriter writer = await ParquetWriter.CreateAsync(
            new ParquetSchema([question, .. others, response, tokensPerForward, steps, error]), stream, options))
        {
            foreach (TableRow[] part in rows.Chunk(RowsInGroup))
            {
                using ParquetRowGroupWriter group = writer.CreateRowGroup();
                await group.WriteAsync(question, [.. part.Select(row => row.Asked)]);
                foreach (DataField other in others)
                    await group.WriteAsync(other, [.. part.Select(row => Text(row.Others.LastOrDefault(one => one.Name == other.Name)))]);
                await group.WriteAsync(response, [.. part.Select(row => row.Answer.Response)]);
                await group.WriteAsync<float>(tokensPerForward, part.Select(row => row.Answer.TokensPerForward).ToArray());
                await group.WriteAsync<int>(steps, part.Select(row => row.Answer.Steps).ToArray());
                await group.WriteAsync(error, [.. part.Select(row => row.Answer.Error.Length > 0 ? row.Answer.Error : null)]);
                group.CompleteValidate();
            }
        }
    }

    /// <summary>A value as a column has it.</summary>
    private static string? Text(OtherValue value)
    {
        if (value.Json is null) return null;
        using JsonDocument document = JsonDocument.Parse(value.Json, new JsonDocumentOptions { MaxDepth = 256 });
        return document.RootElement.ValueKind == JsonValueKind.String ? document.RootElement.GetString() : value.Json;
    }
}
