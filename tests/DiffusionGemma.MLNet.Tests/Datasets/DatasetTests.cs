using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Datasets;

/// <summary>The files below datasets/, as a user of the library reads them.</summary>
public sealed partial class DatasetTests
{
    private static readonly MLContext Ml = new(seed: 1);

    [Theory]
    [InlineData("gsm8k", "train", 7473)]
    [InlineData("gsm8k", "test", 1319)]
    [InlineData("arithmetic", "train", 2000)]
    [InlineData("arithmetic", "test", 200)]
    public void Every_row_is_there_and_ends_in_its_result(string name, string split, int count)
    {
        (string Question, string Answer)[] rows = Read(name, split);
        Assert.Equal(count, rows.Length);
        Assert.All(rows, row => Assert.Matches(Result(), row.Answer));
    }

    [Theory]
    [InlineData("gsm8k")]
    [InlineData("arithmetic")]
    public void Held_out_questions_are_distinct_and_not_trained_on(string name)
    {
        string[] heldOut = [.. Read(name, "test").Select(row => row.Question)];
        Assert.Equal(heldOut.Length, heldOut.Distinct().Count());
        Assert.Empty(heldOut.Intersect(Read(name, "train").Select(row => row.Question)));
    }

    [Theory]
    [InlineData("train")]
    [InlineData("test")]
    public void The_arithmetic_is_right_and_all_five_kinds_occur(string split)
    {
        var kinds = new Dictionary<string, int>();
        foreach ((string question, string answer) in Read("arithmetic", split))
        {
            Match match = Sum().Match(question);
            Assert.True(match.Success, question);
            string word = match.Groups["word"].Value;
            int a = int.Parse(match.Groups["a"].Value, CultureInfo.InvariantCulture),
                b = int.Parse(match.Groups["b"].Value, CultureInfo.InvariantCulture);
            (char sign, int result) = word switch
            {
                "plus" or "buys" => ('+', a + b),
                "minus" or "gives away" => ('-', a - b),
                _ => ('*', a * b),
            };
            Assert.Equal($"{a}{sign}{b}={result}\n#### {result}", answer);
            Assert.True(result >= 0, question);
            Assert.InRange(a, 0, 10);
            Assert.InRange(b, 0, 10);
            kinds[word] = kinds.GetValueOrDefault(word) + 1;
        }
        Assert.Equal(5, kinds.Count);
        // Drawn alike: a fifth each, give or take four standard deviations (of 200 rows: 23).
        double rows = kinds.Values.Sum(), spread = 4 * Math.Sqrt(rows * 0.2 * 0.8);
        Assert.All(kinds.Values, count => Assert.InRange(count, rows / 5 - spread, rows / 5 + spread));
    }

    private static (string Question, string Answer)[] Read(string name, string split)
    {
        IDataView view = Ml.Data.LoadChatFromParquet(Path.Combine(Fixtures.Root, "datasets", name, $"{split}.parquet"), "question",
            "answer");
        return [.. view.GetColumn<string>("Messages").Select(text =>
        {
            JsonElement messages = JsonDocument.Parse(text).RootElement;
            return (messages[0].GetProperty("content").GetString()!, messages[1].GetProperty("content").GetString()!);
        })];
    }

    [GeneratedRegex(@"\n#### -?[\d,.]+$")]
    private static partial Regex Result();

    [GeneratedRegex(@"^What is (?<a>\d+) (?<word>plus|minus|times) (?<b>\d+)\?$|^\w+ has (?<a>\d+) (?<thing>\w+) and "
        + @"(?<word>buys|gives away) (?<b>\d+)(?: more)?\. How many \k<thing> does \w+ have\?$")]
    private static partial Regex Sum();
}
