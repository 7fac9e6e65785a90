using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>The answers of a run's evaluations as JSON Lines: an object for each, with the steps before it.</summary>
internal static class AnswerTable
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>Writes <c>{"step":50,"row":0,"prompt":"...","expected":"...","response":"...","isMatch":true}</c>, ... ; answers without
    /// texts have <c>promptIds</c>, <c>expectedIds</c> and <c>responseIds</c> in their place.</summary>
    public static void Save(IEnumerable<EvaluationRecord> evaluations, string path) => WholeFile.Write(path, stream =>
    {
        foreach (EvaluationRecord evaluation in evaluations)
            foreach (EvaluationAnswer answer in evaluation.Answers)
            {
                JsonSerializer.Serialize(stream, Line(evaluation.Step, answer), Json);
                stream.WriteByte((byte)'\n');
            }
    });

    private static object Line(int step, EvaluationAnswer answer) => answer.Response is null
        ? new { step, answer.Row, answer.PromptIds, answer.ExpectedIds, answer.ResponseIds, answer.IsMatch, answer.Error }
        : new { step, answer.Row, answer.Prompt, answer.Expected, answer.Response, answer.IsMatch, answer.Error };
}
