using System.Text;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class RowFuzzTests
{
    private static readonly string[] Pieces = [
        "{", "}", "[", "]", "\"", ",", ":", "\\", "null", "1.5", "\\ud800", "\\u0000", "<turn|>", "<|turn>", "\"role\":", "\"content\":",
        "\"messages\":", "🙂", "\u00a0", "<"];

    /// <summary>Whatever stands in the row, it becomes ids and a mask of their length, or is refused with the typed error.</summary>
    [Fact]
    public void BrokenRowsFailOnlyWithTheTypedError()
    {
        string[] rows = GeneratedConversationTests.ReadLines(TestFiles.Path("goldens", "fuzz.jsonl.gz"));
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        ChatTokenizerOptions escapes = new() { EscapeSpecialTokens = true };
        ChatTokenizer[] tokenizers =
        [
            .. JinjaReference.Templates.Values.Append(ChatTemplate.Load(Fixtures.Checkpoint("tiny-chat")))
                .SelectMany(template => (ChatTokenizer[])[new(tokenizer, template), new(tokenizer, template, escapes)]),
        ];
        ChatTokenizer chat = tokenizers[0];
        new MutationFuzzer
        {
            Name = "row",
            Make = random =>
            {
                chat = tokenizers[random.Next(tokenizers.Length)];
                string row = rows[random.Next(rows.Length)];
                return Encoding.UTF8.GetBytes(
                    random.Next(3) == 0 ? Mutations.OfText(random, row, Pieces) : Mutations.OfJson(random, JsonNode.Parse(row)!));
            },
            Read = input =>
            {
                try
                {
                    TokenizedChat encoded = chat.Encode(Encoding.UTF8.GetString(input));
                    Assert.Equal(encoded.Ids.Length, encoded.AssistantMask.Length);
                }
                catch (ChatException exception)
                {
                    Assert.NotEmpty(exception.Message);
                }
            },
        }.Run();
    }
}
