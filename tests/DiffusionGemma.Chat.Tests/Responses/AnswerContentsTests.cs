using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class AnswerContentsTests
{
    private const string Answer = "<|channel>thought\nRain?\n<channel|>It rains. <|tool_call>call:f{a:null,b:1.50}<tool_call|>";

    [Fact]
    public void EveryPartIsAContent() => Assert.Equal(
        "thought: Rain?\ntext: It rains. \ncall: f {\"a\":null,\"b\":1.50}", TestChat.Describe(Contents(Answer)));

    [Fact]
    public void ReasoningIsLeftOutWhereNotWanted() => Assert.Equal(
        "text: It rains. \ncall: f {\"a\":null,\"b\":1.50}", TestChat.Describe(Contents(Answer, keepsReasoning: false)));

    [Fact]
    public void ArgumentsAreJsonElementsOrNull()
    {
        FunctionCallContent call = Assert.IsType<FunctionCallContent>(Contents(Answer)[^1]);
        Assert.Null(call.Arguments!["a"]);
        Assert.Equal("1.50", Assert.IsType<JsonElement>(call.Arguments["b"]).GetRawText());
        Assert.NotEqual(call.CallId, Assert.IsType<FunctionCallContent>(Contents(Answer)[^1]).CallId);
    }

    [Fact]
    public void AMalformedCallIsAnErrorWithACode()
    {
        ErrorContent error = Assert.IsType<ErrorContent>(Assert.Single(Contents("<|tool_call>call:weather{city<tool_call|>")));
        Assert.Equal(DiffusionGemmaChatClient.MalformedCallCode, error.ErrorCode);
        Assert.Equal("call:weather{city", error.Details);
        Assert.StartsWith("The model's tool call cannot be used: ", error.Message, StringComparison.Ordinal);
    }

    private static List<AIContent> Contents(string answer, bool keepsReasoning = true)
    {
        AnswerParser parser = new(TestChat.Tokenizer, []);
        return AnswerContents.Map([.. parser.Append(TestChat.Ids(answer)), .. parser.Complete()], keepsReasoning);
    }
}
