namespace DiffusionGemma;

public sealed class ChatTokenizerTests
{
    private static readonly ChatTokenizer Chat = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Fact]
    public void TheAnswerItsCloseAndItsNewlineAreSupervisedAndTheHeaderIsNot()
    {
        TokenizedChat chat = Chat.Encode("""[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]""");
        Assert.Equal("<bos><|turn>user\nHi<turn|>\n<|turn>model\n",
            Chat.Tokenizer.Decode(chat.Ids.Where((_, at) => !chat.AssistantMask[at])));
        Assert.Equal("Hello!<turn|>\n", Chat.Tokenizer.Decode(chat.Ids.Where((_, at) => chat.AssistantMask[at])));
    }

    /// <summary>Jinja2 writes nothing for a variable that is not there.</summary>
    [Fact]
    public void A_template_whose_bos_token_no_file_names_is_a_notice()
    {
        Assert.Empty(Chat.Notices);
        using TemporaryFolder folder = Fixtures.Temporary();
        foreach (string name in (string[])["tokenizer.json", "chat_template.jinja"])
            File.Copy(Path.Combine(Fixtures.Checkpoint("tiny-chat"), name), folder.File(name));
        ChatTokenizer unnamed = ChatTokenizer.Load(folder.Path);
        Assert.Contains("no tokenizer_config.json names it", Assert.Single(unnamed.Notices), StringComparison.Ordinal);
        Assert.StartsWith(
            "<|turn>user", unnamed.Tokenizer.Decode(unnamed.EncodePrompt(ChatConversation.Of(("user", "Hi")))), StringComparison.Ordinal);
        Assert.Empty(new ChatTokenizer(unnamed.Tokenizer, ChatTemplate.Parse("<bos>{{ messages[0].content }}")).Notices);
    }

    [Fact]
    public void EveryAnswerIsMarked()
    {
        TokenizedChat chat = Chat.Encode(ChatConversation.Of(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")));
        Assert.Equal("2<turn|>\n4<turn|>\n", Chat.Tokenizer.Decode(chat.Ids.Where((_, at) => chat.AssistantMask[at])));
    }

    [Fact]
    public void ATokenThatReachesIntoAnAnswerIsSupervised()
    {
        // The two newlines are one token, of which only the second is generated; an empty block marks nothing.
        ChatTemplate template = ChatTemplate.Parse(
            "{{ 'a\n' }}{% generation %}{{ '\n' }}{% endgeneration %}{{ 'b' }}{% generation %}{% endgeneration %}{{ 'c' }}");
        TokenizedChat chat = new ChatTokenizer(Chat.Tokenizer, template).Encode(ChatConversation.Of(("assistant", "x")));
        Assert.Equal("a\n\nbc", Chat.Tokenizer.Decode(chat.Ids));
        Assert.Equal("\n\n", Chat.Tokenizer.Decode(chat.Ids.Where((_, at) => chat.AssistantMask[at])));
    }

    [Theory]
    [InlineData("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}{{ '>' if add_generation_prompt }}", "text")]
    [InlineData("{{ 'm\n' if add_generation_prompt else 'm\n\nx' }}", "token")]
    public void WithoutBlocksASeamThatDoesNotHoldIsRefused(string source, string reason)
    {
        ChatTokenizer chat = new(Chat.Tokenizer, ChatTemplate.Parse(source));
        string message = Assert.Throws<ChatException>(() => chat.Encode(ChatConversation.Of(("user", "q"), ("assistant", "a")))).Message;
        Assert.Contains(reason, message);
        Assert.Contains("{% generation %}", message);
    }
}
