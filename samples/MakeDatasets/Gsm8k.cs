using System.Text.Json;

namespace DiffusionGemma.Samples;

/// <summary>The rows of GSM8K's own files, <c>{"question": ..., "answer": ...}</c> on each line, as they are.</summary>
internal static class Gsm8k
{
    public static IReadOnlyList<QuestionAnswer> Read(string path) =>
        [.. File.ReadLines(path).Select(line => JsonSerializer.Deserialize<QuestionAnswer>(line, JsonSerializerOptions.Web)!)];
}
