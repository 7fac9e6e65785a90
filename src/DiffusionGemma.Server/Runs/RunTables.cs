using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Reads the files of a run's report: tables of numbers with a header, and its options.</summary>
internal static class RunTables
{
    public const string HistoryFile = "history.csv";

    private const string EvaluationsFile = "evaluations.csv", OptionsFile = "options.json", AnswersFile = "answers.jsonl";

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Answers and bytes of the file at most that one request is given.</summary>
    private const int MostAnswers = 200, MostAnswerBytes = 64 << 20;

    /// <summary>The steps from one on, all evaluations, and the options.</summary>
    /// <param name="folder">The report's folder.</param>
    /// <param name="known">Steps that the caller has. Where the run has fewer, it began anew: all are given, and <c>from</c> is 0.</param>
    public static JsonObject Read(string folder, int known)
    {
        (string[] names, List<string[]> rows) = Table(Path.Combine(folder, HistoryFile));
        int from = known <= rows.Count ? known : 0;
        (string[] evaluationNames, List<string[]> evaluations) = Table(Path.Combine(folder, EvaluationsFile));
        return new JsonObject
        {
            ["from"] = from,
            ["steps"] = Columns(names, rows[from..]),
            ["evaluations"] = Columns(evaluationNames, evaluations),
            ["options"] = Options(Path.Combine(folder, OptionsFile)),
        };
    }

    /// <summary>The answers of one evaluation, as they stand in the file; lines that are not whole are passed over.</summary>
    /// <param name="folder">The report's folder.</param>
    /// <param name="step">Steps before the evaluation.</param>
    public static JsonArray Answers(string folder, int step)
    {
        var answers = new JsonArray();
        string path = Path.Combine(folder, AnswersFile);
        try
        {
            if (new FileInfo(path).Length > MostAnswerBytes) return answers;
            foreach (string line in File.ReadLines(path))
                if (answers.Count < MostAnswers && Answer(line, step) is { } answer) answers.Add((JsonNode)answer);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // None yet, or the run's folder has gone.
        }
        return answers;
    }

    private static JsonObject? Answer(string line, int step)
    {
        try
        {
            return Object(line) is { } answer && answer["step"] is JsonValue value
                && value.TryGetValue(out int found) && found == step ? answer : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)                      // half a surrogate pair
        {
            return null;
        }
    }

    /// <summary>An object whose texts can be written again; null: it is none, or one of its texts is not Unicode.</summary>
    private static JsonObject? Object(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text, Strict);
        return document.RootElement is { ValueKind: JsonValueKind.Object } root && root.IsUnicode()
            ? JsonObject.Create(root.Clone()) : null;
    }

    /// <summary>A csv file of numbers; nothing where there is none yet.</summary>
    private static (string[] Names, List<string[]> Rows) Table(string path)
    {
        try
        {
            string[] lines = File.ReadAllLines(path);
            if (lines.Length == 0) return ([], []);
            string[] names = lines[0].Split(',');
            return (names, [.. lines.Skip(1).Select(line => line.Split(',')).Where(row => row.Length == names.Length)]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // None yet, it has gone, or it is not to be read.
            return ([], []);
        }
    }

    private static JsonObject Columns(string[] names, IReadOnlyList<string[]> rows)
    {
        var columns = new JsonObject();
        foreach ((int i, string name) in names.Index()) columns[name] = new JsonArray([.. rows.Select(row => Number(row[i]))]);
        return columns;
    }

    /// <summary>The number; null where it is not finite, as JSON has no other.</summary>
    private static JsonNode? Number(string text) =>
        double.TryParse(text, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) ? number : null;

    private static JsonNode? Options(string path)
    {
        try
        {
            return Object(File.ReadAllText(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
        {
            return null;
        }
    }
}
