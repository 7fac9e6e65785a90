namespace DiffusionGemma;

/// <summary>
/// Adds texts to the answers of an evaluation, without thoughts, and compares them: by the numbers after <c>####</c> where the expected
/// text has one, else as whole texts.
/// </summary>
internal sealed class EvaluationAnswerReader(DiffusionGemmaTokenizer tokenizer)
{
    private static readonly AnswerComparer Numbers = new(AnswerMatch.Number, null, StringComparison.Ordinal),
        Texts = new(AnswerMatch.Text, null, StringComparison.Ordinal);

    public EvaluationAnswer Read(EvaluationAnswer answer)
    {
        int[] prompt = [.. answer.PromptIds];
        string expected = Text(prompt, answer.ExpectedIds), response = Text(prompt, answer.ResponseIds);
        AnswerComparer rule = Numbers.ExtractKey(expected, isExpected: false) is null ? Texts : Numbers;
        bool isMatch = answer.Error is null
            && rule.AreEqual(rule.ExtractKey(response, isExpected: false), rule.ExtractKey(expected, isExpected: true));
        return answer with { Prompt = tokenizer.Decode(prompt), Expected = expected, Response = response, IsMatch = isMatch };
    }

    /// <summary>The text of an answer, and its tool calls as JSON.</summary>
    private string Text(int[] prompt, IReadOnlyList<int> ids)
    {
        var parsed = ParsedAnswer.Parse(tokenizer, prompt, ids);
        return string.Join('\n', new[] { parsed.Text.Trim(), parsed.ToolCallsJson() }.Where(part => part.Length > 0));
    }
}
