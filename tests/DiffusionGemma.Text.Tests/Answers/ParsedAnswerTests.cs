using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class ParsedAnswerTests
{
    [Fact]
    public void AWholeAnswerHasItsParts()
    {
        ParsedAnswer answer = ParsedAnswer.Parse(AnswerTexts.Tokenizer, [], AnswerTexts.Ids(
            "<|channel>thought\nadd<channel|>It is <|tool_call>call:sum{a:1,b:<|\"|>é<|\"|>}<tool_call|>15."
            + "<|tool_call>call:x y{}<tool_call|><turn|>\n"));
        Assert.Equal(("It is 15.", "add"), (answer.Text, answer.Reasoning));
        Assert.Equal("sum", Assert.Single(answer.ToolCalls).Name);
        Assert.Equal("call:x y{}", Assert.Single(answer.MalformedToolCalls).Text);
        Assert.Equal(
            """[{"type":"function","function":{"name":"sum","arguments":{"a":1,"b":"é"}}},"""
            + """{"error":"no name of a function and '{' follow 'call:'","text":"call:x y{}"}]""", answer.ToolCallsJson());
    }

    [Fact]
    public void AnExpectedTextIsReadLikeAnAnswer()
    {
        ParsedAnswer answer = ParsedAnswer.Parse(AnswerTexts.Tokenizer, "<|channel>thought\nadd<channel|>15<turn|>");
        Assert.Equal(("15", "add", ""), (answer.Text, answer.Reasoning, answer.ToolCallsJson()));
        Assert.Equal("plain", ParsedAnswer.Parse(AnswerTexts.Tokenizer, "plain").Text);
    }

    [Fact]
    public void AnAnswerWithoutControlTokensIsItsDecodedText()
    {
        foreach (string text in (string[])["", " 42\n", "a\n\nb ", "日本 🌞", "2 < 3"])
            Assert.Equal(text, ParsedAnswer.Parse(AnswerTexts.Tokenizer, text).Text);
    }

    /// <summary>The calls' JSON is a message's <c>tool_calls</c>: a conversation takes it.</summary>
    [Fact]
    public void CallsFitAMessage()
    {
        string calls = ParsedAnswer.Parse(AnswerTexts.Tokenizer, "<|tool_call>call:f{a:[1,{b:true}]}<tool_call|>").ToolCallsJson();
        ChatConversation conversation = ChatConversation.Parse(
            $$"""[{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "tool_calls": {{calls}}}]""");
        string text = ChatTemplate.Parse("{{ messages[1].tool_calls[0].function | tojson }}").Render(conversation, false).Text;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"name": "f", "arguments": {"a": [1, {"b": true}]}}"""), JsonNode.Parse(text)));
    }
}
