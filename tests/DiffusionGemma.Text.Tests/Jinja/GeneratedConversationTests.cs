using System.IO.Compression;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// 2 400 generated conversations (tools, calls, results, reasoning, parts, system and developer turns, odd types) over every template,
/// against hashes of what jinja2 makes of them.
/// </summary>
public sealed class GeneratedConversationTests
{
    private const int Count = 2400;
    private const int InOneTest = 100;

    private static readonly string[] Lines = ReadLines(TestFiles.Path("goldens", "fuzz.jsonl.gz"));

    public static TheoryData<int> Parts => [.. Enumerable.Range(0, Count / InOneTest)];

    [Fact]
    public void AllAreThere() => Assert.Equal(Count, Lines.Length);

    [Theory]
    [MemberData(nameof(Parts))]
    public void RendersAsPythonDoes(int part)
    {
        List<int> wrong = [];
        for (int i = part * InOneTest; i < (part + 1) * InOneTest; i++)
        {
            using JsonDocument line = JsonDocument.Parse(Lines[i]);
            JsonElement row = line.RootElement;
            bool prompt = row.GetProperty("add_generation_prompt").GetBoolean();
            IEnumerable<string> results = JinjaReference.Templates.OrderBy(item => item.Key, StringComparer.Ordinal)
                .Select(item => JinjaReference.Describe(item.Value, row, prompt));
            if (JinjaReference.Fingerprint(results) != row.GetProperty("fingerprint").GetString())
                wrong.Add(i);
        }
        Assert.True(wrong.Count == 0,
            $"Rows {string.Join(", ", wrong)} differ: python3 make_goldens.py --show N prints a row and what jinja2 makes of it.");
    }

    internal static string[] ReadLines(string path)
    {
        using StreamReader reader = new(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
