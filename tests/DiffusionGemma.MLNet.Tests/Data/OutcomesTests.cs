using System.Text.Json;
using Microsoft.ML;

namespace DiffusionGemma.Data;

/// <summary>Every file of tests/fixtures/data gives what expected.json says of it.</summary>
public sealed class OutcomesTests
{
    private readonly MLContext _ml = new(seed: 1);

    public static TheoryData<string> Files => [.. ExpectedData.Outcomes.EnumerateObject().Select(outcome => outcome.Name)];

    [Fact]
    public void Every_file_has_an_outcome() =>
        Assert.Equal(Directory.EnumerateFiles(Fixtures.Path("data")).Select(Path.GetFileName).Except(["expected.json"]).Order(),
            ExpectedData.Outcomes.EnumerateObject().Select(outcome => outcome.Name).Order());

    [Theory]
    [MemberData(nameof(Files))]
    public void It_is_as_expected(string file)
    {
        JsonElement outcome = ExpectedData.Outcomes.GetProperty(file);
        if (outcome.TryGetProperty("error", out _))
        {
            Assert.Equal(ExpectedData.Path(file), Assert.Throws<ChatDataException>(() => Load(file)).File);
            return;
        }
        IDataView view = Load(file);
        JsonElement[] rows = ExpectedData.Rows(view);
        IReadOnlyList<ChatDataException> skipped = view.GetSkippedChatRows();
        Assert.All(skipped, error => Assert.Equal(ExpectedData.Path(file), error.File));
        if (outcome.TryGetProperty("error_rows", out JsonElement badRows))
            Assert.Equal(badRows.EnumerateArray().Select(row => (long?)row.GetInt64()), skipped.Select(error => error.Row));
        else if (outcome.TryGetProperty("error_lines", out JsonElement badLines))
            Assert.Equal(badLines.EnumerateArray().Select(line => (long?)line.GetInt64()), skipped.Select(error => error.Line));
        else
            AssertRows(outcome.GetProperty("rows"), rows, skipped);
    }

    private static void AssertRows(JsonElement expected, JsonElement[] rows, IReadOnlyList<ChatDataException> skipped)
    {
        Assert.Empty(skipped);
        switch (expected.ToString())
        {
            case "all 60 of rows":
                Assert.Equal(ExpectedData.Questions,
                    rows.Select(row => (row[0].GetProperty("content").GetString()!, row[1].GetProperty("content").GetString()!)));
                break;
            case "all 60 of chats":
                ExpectedData.AssertChats(ExpectedData.Chats, rows);
                break;
            case "chats 0, 1, 2":
                ExpectedData.AssertChats(ExpectedData.Chats.Take(3), rows);
                break;
            case "chats 0 to 4":
                ExpectedData.AssertChats(ExpectedData.Chats.Take(5), rows);
                break;
            default:
                Assert.Equal(expected.GetInt32(), rows.Length);
                break;
        }
    }

    private IDataView Load(string file)
    {
        bool isTable = file.StartsWith("gsm8k", StringComparison.Ordinal) || file.StartsWith("broken", StringComparison.Ordinal);
        var options = new ChatDataOptions
        {
            MaxErrors = 100, QuestionColumn = isTable ? "question" : null, AnswerColumn = isTable ? "answer"
            : null
        };
        return file.EndsWith(".parquet", StringComparison.Ordinal)
            ? _ml.Data.LoadChatFromParquet(options, ExpectedData.Path(file))
            : _ml.Data.LoadChatFromJsonLines(options, ExpectedData.Path(file));
    }
}
