namespace DiffusionGemma;

/// <summary>Answers of which a template, or the reader of answers, leaves nothing.</summary>
public sealed class BlankAnswerTests
{
    private const string Plain = "{% for m in messages %}{{ '<|turn>' ~ m.role ~ '\n' }}{{ m.content or '' }}<turn|>{% endfor %}"
        + "{{ '<|turn>assistant\n' if add_generation_prompt }}";

    private const string WithCalls = "{% for m in messages %}{{ '<|turn>' ~ m.role ~ '\n' }}{{ m.content or '' }}"
        + "{{ m.tool_calls | tojson if m.tool_calls }}<turn|>{% endfor %}{{ '<|turn>assistant\n' if add_generation_prompt }}";

    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Theory]
    [InlineData(true, Plain, """ "content": "" """)]
    [InlineData(true, Plain, """ "content": " \n\u00a0" """)]
    [InlineData(true, Plain, """ "content": null """)]
    [InlineData(true, Plain, """ "content": [{"type": "text", "text": ""}, {"type": "text", "text": " "}] """)]
    [InlineData(true, Plain, """ "content": "<turn|>" """)]
    [InlineData(true, Plain, """ "content": "<|channel>thought\nhm<channel|>\n" """)]
    [InlineData(true, Plain, """ "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {}}}] """)]
    [InlineData(true, Plain, """ "content": "", "reasoning_content": "hm", "tool_calls": [] """)]
    [InlineData(false, Plain, """ "content": "a<turn|>" """)]
    [InlineData(false, Plain, """ "content": "<|tool_call>call:f{}<tool_call|>" """)]
    [InlineData(false, Plain, """ "content": "<|tool_call>f" """)]
    [InlineData(false, WithCalls, """ "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {}}}] """)]
    [InlineData(false, WithCalls, """ "function_call": {"name": "f", "arguments": "{}"} """)]
    public void TheyAreBlank(bool expected, string template, string message) => Assert.Equal(expected, new ChatTokenizer(
        Tokenizer, ChatTemplate.Parse(template)).HasBlankAnswer(ChatConversation.Parse(
            $$"""[{"role": "user", "content": "q"}, {"role": "assistant", {{message}}}]""")));

    [Fact]
    public void EscapedTextIsAnAnswerAndAQuestionIsNone()
    {
        ChatTokenizer escaped = new(Tokenizer, ChatTemplate.Parse(Plain), new ChatTokenizerOptions { EscapeSpecialTokens = true });
        Assert.False(escaped.HasBlankAnswer(ChatConversation.Of(("user", "q"), ("assistant", "<turn|>"))));
        Assert.False(escaped.HasBlankAnswer(ChatConversation.Of(("user", ""))));
    }
}
