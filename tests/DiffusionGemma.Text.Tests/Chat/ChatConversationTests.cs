using System.Text.Json;

namespace DiffusionGemma;

public sealed class ChatConversationTests
{
    public static TheoryData<string, string> Malformed => new()
    {
        { """{"messages": "a string"}""", "'messages' is str" },
        { """{"messages": []}""", "empty" },
        { """{"messages": null}""", "'messages' is NoneType" },
        { """{"text": "no messages"}""", "no 'messages'" },
        { """{"messages": [{"content": "no role"}]}""", "messages[0] has no 'role'" },
        { """{"messages": [{"role": 5, "content": "x"}]}""", "'role'" },
        { """{"messages": [{"role": "user"}]}""", "messages[0] has no 'content'" },
        { """[{"role": "user", "content": "x"}, {"role": "assistant"}]""", "messages[1] has no 'content'" },
        { "[1, 2]", "messages[0] is int" },
        { "null", "null" },
        { "\"text\"", "a text" },
        { "5", "a number" },
        { "", "not valid JSON" },
        { "{", "not valid JSON" },
        { """{"messages": [{"role": "user", "content": 5}]}""", "'content' of type int" },
        { """{"messages": [{"role": "user", "content": {"a": 1}}]}""", "'content' of type dict" },
        { """[{"role": "user", "content": [{"type": "image"}]}]""", "text only" },
        { """[{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "input_audio"}]}]""", "text only" },
        { """[{"role": "user", "content": "x", "images": ["a.png"]}]""", "messages[0] has 'images': this library is text only" },
        { """[{"role": "assistant", "content": null, "audio": {"id": "a"}}]""", "messages[0] has 'audio'" },
        { """{"messages": [{"role": "user", "content": "x"}], "image": {"bytes": null}}""",
            "The row has 'image': this library is text only" },
        { """[{"role": "user", "content": ["x"]}]""", "content part" },
        { """[{"role": "user", "content": [{"type": "text"}]}]""", "without a 'text'" },
        { """[{"role": "assistant", "content": null, "tool_calls": "x"}]""", "tool_calls" },
        { """{"messages": [{"role": "user", "content": "x"}], "tools": "x"}""", "'tools'" },
        { """[{"role": "user", "content": "\ud83d"}]""", "surrogate" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void AMalformedRowSaysWhatIsWrong(string json, string expected) =>
        Assert.Contains(expected, Assert.Throws<ChatException>(() => ChatConversation.Parse(json)).Message);

    [Theory]
    [InlineData("""[{"role": "user", "content": "x"}, {"role": "assistant"}]""", 1)]
    [InlineData("""[{"role": "user", "content": ["x"]}]""", 0)]
    [InlineData("{}", null)]
    public void AMalformedMessageIsNamedByItsIndex(string json, int? index) =>
        Assert.Equal(index, Assert.Throws<ChatException>(() => ChatConversation.Parse(json)).MessageIndex);

    [Fact]
    public void EveryWrongShapeOfTheDataFixturesIsRefused()
    {
        string[] lines = File.ReadAllLines(Fixtures.Path("data", "messages_wrong_shapes.jsonl"));
        string[] reasons = [.. lines.Select(line => Assert.Throws<ChatException>(() => ChatConversation.Parse(line)).Message)];
        Assert.Equal(8, reasons.Distinct().Count());
    }

    [Theory]
    [InlineData("messages.jsonl")]
    [InlineData("messages_extra_columns.jsonl")]
    public void GoodRowsAreRead(string file)
    {
        foreach (string line in File.ReadAllLines(Fixtures.Path("data", file)))
        {
            ChatConversation conversation = ChatConversation.Parse(line);
            using JsonDocument document = JsonDocument.Parse(line);
            Assert.Equal(document.RootElement.GetProperty("messages").GetArrayLength(), conversation.MessageCount);
        }
    }

    [Theory]
    [InlineData("user", false)]
    [InlineData("tool", false)]
    [InlineData("assistant", true)]
    [InlineData("model", true)]
    public void IsAnsweredWhenTheLastMessageIsTheAssistants(string role, bool expected) =>
        Assert.Equal(expected, ChatConversation.Of(("user", "q"), (role, "x")).IsAnswered);

    [Fact]
    public void TheRowReachesTheTemplateWhole()
    {
        ChatTemplate template = ChatTemplate.Parse(
            "{{ messages[0].n }} {{ messages[0].f }} {{ messages[0].extra.deep | tojson }} {{ tools }} {{ source }} {{ flag }} "
            + "{{ enable_thinking }} {{ documents }} {{ messages[1].tool_calls[0].function.arguments.x }}");
        const string Row = """
            {"messages": [{"role": "user", "content": "x", "n": 1, "f": 1.0, "extra": {"deep": [12345678901234567890, -0.0, 1e2]}},
                          {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 2.50}}}]}],
             "tools": null, "source": "gsm8k", "flag": true, "chat_template_kwargs": {"enable_thinking": false}}
            """;
        Assert.Equal("1 1.0 [12345678901234567890, -0.0, 100.0] None gsm8k True False None 2.5",
            template.Render(ChatConversation.Parse(Row), false).Text);
    }

    [Fact]
    public void RandomJsonFailsOnlyWithTheTypedError()
    {
        Random random = new(9);
        string good = """{"messages": [{"role": "user", "content": [{"type": "text", "text": "a\u00e9"}]}, """
            + """{"role": "assistant", "content": "b", "n": 1.5e3}], "tools": [{}]}""";
        for (int round = 0; round < 5000; round++)
        {
            char[] text = good.ToCharArray();
            for (int change = random.Next(1, 5); change > 0; change--)
                text[random.Next(text.Length)] = "{}[]\",:0\\ntue19-."[random.Next(17)];
            try
            {
                ChatConversation.Parse(new string(text));
            }
            catch (ChatException)
            {
            }
        }
        Assert.Throws<ChatException>(() => ChatConversation.Parse(new string('[', 100_000)));
        Assert.Throws<ChatException>(
            () => ChatConversation.Parse($$"""[{"role": "user", "content": "x", "n": {{new string('9', 5000)}}}]"""));
    }
}
