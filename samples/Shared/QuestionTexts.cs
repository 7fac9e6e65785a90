using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Samples;

/// <summary>The questions of conversations in plain text.</summary>
internal static class QuestionTexts
{
    public static IReadOnlyList<string> Read(IDataView conversations, int count) =>
    [
        .. conversations.GetColumn<string>(ChatColumns.Messages).Take(count).Select(row =>
            System.Text.Json.JsonDocument.Parse(row).RootElement[0].GetProperty("content").GetString() ?? ""),
    ];
}
