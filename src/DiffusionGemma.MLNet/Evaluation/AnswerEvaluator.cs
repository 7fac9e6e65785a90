using System.Diagnostics;
using System.Text.RegularExpressions;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Compares scored rows with their expected answers in one pass.</summary>
internal static class AnswerEvaluator
{
    public static AnswerMetrics Evaluate(IHostEnvironment environment, IDataView scored, AnswerEvaluationOptions options,
        DiffusionGemmaTokenizer? tokenizer)
    {
        AnswerComparer comparer = options.Comparer();
        DataViewSchema.Column? Find(string name) => scored.Schema.GetColumnOrNull(name);
        DataViewSchema.Column Required(string name, string remedy) => Find(name) is { Type: TextDataViewType } column
            ? column
            : throw new ArgumentException($"The data has no text column '{name}': {remedy}", nameof(scored));

        string expectedName = options.ExpectedColumn ?? ChatColumns.Messages;
        DataViewSchema.Column expected = Required(expectedName, "name another AnswerEvaluationOptions.ExpectedColumn");
        DataViewSchema.Column response = Required(options.ResponseColumn,
            "score the rows first, or name another AnswerEvaluationOptions.ResponseColumn");
        DataViewSchema.Column? steps = Find(ChatColumns.Steps), rate = Find(ChatColumns.TokensPerForward),
            ids = Find(ChatColumns.ResponseIds), reason = Find(ChatColumns.ResponseError);
        DataViewSchema.Column[] needed = [.. new[] { expected, response, steps, rate, ids, reason }.OfType<DataViewSchema.Column>()];

        var clock = Stopwatch.StartNew();
        using DataViewRowCursor cursor = scored.GetRowCursor(needed);
        Func<ReadOnlyMemory<char>> readExpected = Getters.ReadValue<ReadOnlyMemory<char>>(cursor, expected),
            readResponse = Getters.ReadValue<ReadOnlyMemory<char>>(cursor, response);
        Func<int> readSteps = steps is { } s ? Getters.ReadValue<int>(cursor, s) : () => 0;
        Func<float> readRate = rate is { } r ? Getters.ReadValue<float>(cursor, r) : () => 0;
        Func<int[]> readIds = ids is { } i ? Getters.ReadVector<int>(cursor, i) : () => [];
        Func<string> readError = reason is { } e ? Text(Getters.ReadValue<ReadOnlyMemory<char>>(cursor, e)) : () => "";
        Func<ChatPosition> position = Getters.ReadPosition(cursor);

        var results = new List<AnswerResult>();
        FieldCounts? fields = comparer.CountFields();
        int without = 0, failed = 0;
        long tokens = 0, passes = 0;
        while (RowErrors.MoveNext(cursor))
        {
            string text = readExpected().ToString();
            string? wanted = options.ExpectedColumn is null ? ReadAnswer(text, position()) : text;
            wanted = wanted is null || tokenizer is null ? wanted : ReadText(wanted, tokenizer);
            if (wanted is null)
            {
                without++;
                continue;
            }
            string answer = readResponse().ToString();
            string error = readError();
            failed += error.Length > 0 ? 1 : 0;
            string? wantedKey = Key(wanted, isExpected: true), answerKey = error.Length > 0 ? null : Key(answer, isExpected: false);
            results.Add(new AnswerResult
            {
                Row = cursor.Position, Expected = wanted, Response = answer, ExpectedKey = wantedKey ?? "", ResponseKey = answerKey ?? "",
                IsMatch = comparer.AreEqual(answerKey, wantedKey), TokensPerForward = readRate(), Steps = readSteps(),
                Reason = error.Length > 0 ? error : wantedKey is null ? $"the expectation has {comparer.MissingKey}" : answerKey is null
                    ? $"the answer has {comparer.MissingKey}" : "",
            });
            fields?.Add(wanted, error.Length > 0 ? "" : answer);
            tokens += readIds().Length;
            passes += readSteps();
        }
        if (results.Count == 0)
        {
            throw new ArgumentException(without == 0
                ? "There are no rows to evaluate."
                : $"None of the {Counted.Rows(without)} has an expected answer: give conversations that end with it, or name its column in "
                    + "AnswerEvaluationOptions.ExpectedColumn.", nameof(scored));
        }
        return new AnswerMetrics
        {
            Rows = results.Count,
            Correct = results.Count(result => result.IsMatch),
            Failed = failed,
            WithoutExpectation = without,
            Tokens = tokens,
            Steps = passes,
            Fields = fields?.Metrics ?? [],
            Seconds = clock.Elapsed.TotalSeconds,
            Results = DataViewConstructionUtils.CreateFromList(environment, results),
        };

        string? Key(string text, bool isExpected)
        {
            try
            {
                return comparer.ExtractKey(text, isExpected);
            }
            catch (RegexMatchTimeoutException fault)
            {
                throw new ChatDataException($"AnswerEvaluationOptions.Pattern takes more than {fault.MatchTimeout.TotalSeconds:F0} s on "
                    + "this row: write it without nested repetition", position(), fault);
            }
        }
    }

    /// <summary>The text of an expected answer without its thoughts and tool calls.</summary>
    private static string ReadText(string expected, DiffusionGemmaTokenizer tokenizer) =>
        // Markup begins with '<'; other texts stay as they are to the letter.
        expected.Contains('<', StringComparison.Ordinal) ? ParsedAnswer.Parse(tokenizer, expected).Text : expected;

    private static Func<string> Text(Func<ReadOnlyMemory<char>> read) => () => read().ToString();

    private static string? ReadAnswer(string messages, ChatPosition position)
    {
        try
        {
            ChatConversation conversation = ChatConversation.Parse(messages);
            return conversation.HasBlankAnswer ? null : conversation.Answer;
        }
        catch (ChatException fault)
        {
            throw new ChatDataException(fault.Message, position, fault);
        }
    }
}
