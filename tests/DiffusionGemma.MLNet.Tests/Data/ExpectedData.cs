using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Data;

/// <summary>
/// tests/fixtures/data/expected.json: 60 questions and answers, the same as 60 conversations, and what each file must give.
/// </summary>
internal static class ExpectedData
{
    private static readonly JsonElement Root = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("data", "expected.json"))).RootElement;

    public static JsonElement[] Chats { get; } = [.. Root.GetProperty("chats").EnumerateArray()];

    public static (string Question, string Answer)[] Questions { get; } =
        [.. Root.GetProperty("rows").EnumerateArray().Select(row =>
            (row.GetProperty("question").GetString()!, row.GetProperty("answer").GetString()!))];

    public static JsonElement Outcomes => Root.GetProperty("outcomes");

    public static string Path(string name) => Fixtures.Path("data", name);

    public static JsonElement[] Rows(IDataView view) =>
        [.. view.GetColumn<string>(view.Schema[0]).Select(text => JsonDocument.Parse(text).RootElement)];

    /// <summary>The messages of a row, which are the row itself or one of its keys.</summary>
    public static JsonElement Messages(JsonElement row) => row.ValueKind == JsonValueKind.Array ? row : row.GetProperty("messages");

    public static void AssertChats(IEnumerable<JsonElement> expected, IEnumerable<JsonElement> rows)
    {
        JsonElement[] wanted = [.. expected], found = [.. rows];
        Assert.Equal(wanted.Length, found.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(JsonElement.DeepEquals(wanted[i], Messages(found[i])), $"row {i}: {found[i]} in place of {wanted[i]}");
    }
}
