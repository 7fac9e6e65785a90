using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class ReasoningMaskTests
{
    // Reasoning inside the generation block, before it, and in the content.
    private const string Inside = "{% for m in messages %}{{ '<|turn>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
        + "{{ '<|channel>thought\n' + m.reasoning + '<channel|>' if m.reasoning }}{{ m.content }}<turn|>{% endgeneration %}"
        + "{% else %}{{ m.content }}<turn|>{% endif %}{% endfor %}{{ '<|turn>assistant\n' if add_generation_prompt }}";
    private const string Before = "{% for m in messages %}{{ '<|turn>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        + "{{ '<|channel>thought\n' + (m.reasoning or '') + '<channel|>' }}{% generation %}{{ m.content }}<turn|>{% endgeneration %}"
        + "{% else %}{{ m.content }}<turn|>{% endif %}{% endfor %}{{ '<|turn>assistant\n' if add_generation_prompt }}";

    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    public static TheoryData<string, string, ReasoningTraining, string> Rows => new()
    {
        { Inside, "hm", ReasoningTraining.Train, "<|channel>thought\nhm<channel|>15<turn|>" },
        { Inside, "hm", ReasoningTraining.Ignore, "15<turn|>" },
        { Inside, "", ReasoningTraining.Train, "15<turn|>" },
        { Before, "hm", ReasoningTraining.Train, "<|channel>thought\nhm<channel|>15<turn|>" },
        { Before, "hm", ReasoningTraining.Ignore, "15<turn|>" },
        { Before, "", ReasoningTraining.Train, "15<turn|>" },           // an empty thought belongs to the prompt
        { Without(Inside), "hm", ReasoningTraining.Train, "<|channel>thought\nhm<channel|>15<turn|>" },
        { Without(Inside), "hm", ReasoningTraining.Ignore, "15<turn|>" },
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void ReasoningIsLearnedOrNot(string source, string reasoning, ReasoningTraining option, string expected)
    {
        ChatTokenizer chat = new(Tokenizer, ChatTemplate.Parse(source), new ChatTokenizerOptions { Reasoning = option });
        TokenizedChat encoded = chat.Encode(Row(reasoning, "15"));
        Assert.Equal(expected, Tokenizer.Decode(encoded.Ids.Where((_, at) => encoded.AssistantMask[at])));
        TokenizedChat plain = new ChatTokenizer(Tokenizer, ChatTemplate.Parse(source)).Encode(Row(reasoning, "15"));
        Assert.Equal(plain.Ids, encoded.Ids);
    }

    [Fact]
    public void TheDefaultTrains() => Assert.Equal(ReasoningTraining.Train, new ChatTokenizerOptions().Reasoning);

    [Fact]
    public void ChannelsInTheContentAreReasoningToo()
    {
        ChatTokenizer chat = new(Tokenizer, ChatTemplate.Parse(Inside), new ChatTokenizerOptions { Reasoning = ReasoningTraining.Ignore });
        TokenizedChat encoded = chat.Encode(Row("", "<|channel>thought\nadd<channel|>15"));
        Assert.Equal("15<turn|>", Tokenizer.Decode(encoded.Ids.Where((_, at) => encoded.AssistantMask[at])));
    }

    /// <summary>The template asks with an empty thought, and writes none before an answer.</summary>
    [Fact]
    public void TheAnswerIsPutBehindThePromptThatItIsAskedWith()
    {
        ChatTemplate template = ChatTemplate.Parse(Inside + "{{ '<|channel>thought\n<channel|>' if add_generation_prompt }}");
        ChatTokenizer written = new(Tokenizer, template);
        ChatTokenizer asked = new(Tokenizer, template, new ChatTokenizerOptions { TrainOnGenerationPrompt = true });
        Assert.True(written.TemplateReport.PromptsDiffer);
        const string Head = "<|turn>user\nq<turn|><|turn>assistant\n";
        Assert.Equal(Head + "15<turn|>", Tokenizer.Decode(written.Encode(Row("", "15")).Ids));

        TokenizedChat chat = asked.Encode(Row("", "15"));
        Assert.Equal(Head + "<|channel>thought\n<channel|>15<turn|>", Tokenizer.Decode(chat.Ids));
        Assert.Equal("15<turn|>", Tokenizer.Decode(chat.Ids.Where((_, at) => chat.AssistantMask[at])));
        Assert.Equal(asked.EncodePrompt(Row("", "15")), chat.Ids.TakeWhile((_, at) => !chat.AssistantMask[at]));

        TokenizedChat thinks = asked.Encode(Row("hm", "15"));
        Assert.Equal(Head + "<|channel>thought\nhm<channel|>15<turn|>", Tokenizer.Decode(thinks.Ids));

        ChatConversation turns = ChatConversation.Of(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"));
        TokenizedChat last = asked.Encode(turns);
        Assert.Equal(
            "<|turn>user\n1<turn|><|turn>assistant\n2<turn|>"
            + "<|turn>user\n3<turn|><|turn>assistant\n<|channel>thought\n<channel|>4<turn|>",
            Tokenizer.Decode(last.Ids));
        Assert.Equal("2<turn|>4<turn|>", Tokenizer.Decode(last.Ids.Where((_, at) => last.AssistantMask[at])));
    }

    [Fact]
    public void WhereThePromptsAgreeTheOptionChangesNothing()
    {
        ChatTokenizer plain = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        ChatTokenizer asked =
            ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"), new ChatTokenizerOptions { TrainOnGenerationPrompt = true });
        foreach (ChatConversation chat in (ChatConversation[])[
            ChatConversation.Of(("user", "1"), ("assistant", "2")), ChatConversation.Of(("assistant", "x")),
            ChatConversation.Of(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", ""))])
        {
            Assert.Equal(plain.Encode(chat).Ids, asked.Encode(chat).Ids);
            Assert.Equal(plain.Encode(chat).AssistantMask, asked.Encode(chat).AssistantMask);
        }
    }

    private static string Without(string source) => source.Replace("{% generation %}", "").Replace("{% endgeneration %}", "");

    private static ChatConversation Row(string reasoning, string content) => ChatConversation.Parse(new JsonArray(
        new JsonObject { ["role"] = "user", ["content"] = "q" },
        new JsonObject { ["role"] = "assistant", ["content"] = content, ["reasoning"] = reasoning }).ToJsonString());
}
