namespace DiffusionGemma;

public sealed class ExpectedAnswerTests
{
    private static readonly ChatTokenizer Chat = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Theory]
    [InlineData("""[{"role": "user", "content": "q"}]""", null, null, null)]
    [InlineData("""[{"role": "assistant", "content": "15"}]""", "15", "", "")]
    [InlineData("""[{"role": "assistant", "content": "<|channel>thought\nadd<channel|>15<turn|>"}]""", "15", "add", "")]
    [InlineData("""[{"role": "assistant", "content": "15", "reasoning_content": "add"}]""", "15", "add", "")]
    [InlineData("""[{"role": "assistant", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "5"}], "thinking": "add"}]""",
        "15", "add", "")]
    [InlineData("""[{"role": "model", "content": null, "tool_calls": [{"id": "c","""
        + """ "function": {"name": "f", "arguments": "{\"x\": [1.0, null]}"}}]}]""",
        "", "", """[{"type":"function","function":{"name":"f","arguments":{"x":[1.0,null]}}}]""")]
    [InlineData("""[{"role": "assistant", "content": "<|tool_call>call:f{x:1}<tool_call|>"}]""",
        "", "", """[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]""")]
    public void TheLastMessageIsReadLikeAnAnswer(string row, string? text, string? reasoning, string? calls)
    {
        ParsedAnswer? answer = Chat.ParseAnswer(ChatConversation.Parse(row));
        Assert.Equal((text, reasoning, calls), (answer?.Text, answer?.Reasoning, answer?.ToolCallsJson()));
    }
}
