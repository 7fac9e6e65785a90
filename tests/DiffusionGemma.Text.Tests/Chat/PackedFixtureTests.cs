using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Conversations to ids and to the supervised span, against the reference's dataset.</summary>
public sealed class PackedFixtureTests
{
    private static readonly ChatTokenizer Chat = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
    private static readonly JsonElement Fixture =
        JsonDocument.Parse(Fixtures.Text("text", "packed_tiny_chat.json")).RootElement;

    public static IEnumerable<TheoryDataRow<int>> Rows() =>
        Enumerable.Range(0, Fixture.GetProperty("rows").GetArrayLength()).Select(row => new TheoryDataRow<int>(row));

    [Theory]
    [MemberData(nameof(Rows))]
    public void TheRowIsEncodedAsInTheReference(int place)
    {
        JsonElement row = Fixture.GetProperty("rows")[place];
        ChatConversation conversation = ChatConversation.Parse(row.GetProperty("messages").GetRawText());
        TokenizedChat chat = Chat.Encode(conversation);
        Assert.Equal(Ints(row.GetProperty("prompt_ids")), Chat.EncodePrompt(conversation));
        Assert.Equal(chat.Ids.Length, chat.AssistantMask.Length);
        if (row.TryGetProperty("unanswered", out _))
        {
            Assert.False(conversation.IsAnswered);
            Assert.Equal(Ints(row.GetProperty("prompt_ids")), chat.Ids);
            Assert.DoesNotContain(true, chat.AssistantMask);
            return;
        }
        Assert.True(conversation.IsAnswered);
        int lastRun = StartOfLastRun(chat.AssistantMask);
        Assert.Equal(Ints(row.GetProperty("prompt_ids")).Length, lastRun);
        if (row.TryGetProperty("dropped", out _))
            return;
        int most = Fixture.GetProperty("max_length").GetInt32();
        Assert.Equal(Ints(row.GetProperty("input_ids")), chat.Ids.Take(most));
        Assert.Equal(Ints(row.GetProperty("loss_mask")), chat.AssistantMask.Select((isOn, at) => isOn && at >= lastRun ? 1 : 0).Take(most));
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void WithoutGenerationBlocksTheLastAnswerIsFoundByItsPrompt(int place)
    {
        string source = Chat.Template.Source.Replace("{% generation %}", "").Replace("{% endgeneration %}", "");
        ChatTokenizer plain = new(Chat.Tokenizer, WithBos(source));
        ChatConversation conversation = ChatConversation.Parse(Fixture.GetProperty("rows")[place].GetProperty("messages").GetRawText());
        TokenizedChat marked = Chat.Encode(conversation);
        TokenizedChat found = plain.Encode(conversation);
        Assert.False(plain.Template.HasGenerationBlocks);
        Assert.Equal(marked.Ids, found.Ids);
        int lastRun = conversation.IsAnswered ? StartOfLastRun(marked.AssistantMask) : int.MaxValue;
        Assert.Equal(marked.AssistantMask.Select((isOn, at) => isOn && at >= lastRun), found.AssistantMask);
    }

    private static ChatTemplate WithBos(string source)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("chat_template.jinja"), source);
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"bos_token": {"content": "<bos>"}}""");
        return ChatTemplate.Load(folder.Path);
    }

    private static int StartOfLastRun(bool[] mask)
    {
        int start = Array.LastIndexOf(mask, true);
        while (start > 0 && mask[start - 1])
            start--;
        return start;
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];
}
