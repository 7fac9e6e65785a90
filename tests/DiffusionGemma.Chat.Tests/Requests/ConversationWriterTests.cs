using System.Text.Json;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class ConversationWriterTests
{
    private static readonly ChatMessage Question = new(ChatRole.User, "Rain?");

    [Fact]
    public void AHistoryBecomesTurns() => Assert.Equal(
        "<|turn>system\nBe brief.<turn|>\n<|turn>user\nHi 日本 🌞<turn|>\n<|turn>model\nHello.<turn|>\n"
            + "<|turn>user\nRain?<turn|>\n<|turn>model\n",
        TestChat.Prompt([new(ChatRole.System, "Be brief."), new(ChatRole.User, "Hi 日本 🌞"), new(ChatRole.Assistant, "Hello."), Question]));

    [Fact]
    public void InstructionsAndLeadingSystemMessagesAreOneSystemTurn() => Assert.Equal(
        "<|turn>system\nFirst.\n\nSecond.\n\nThird.<turn|>\n<|turn>user\nRain?<turn|>\n"
            + "<|turn>system\nLate.<turn|>\n<|turn>user\nWell?<turn|>\n<|turn>model\n",
        TestChat.Prompt([new(ChatRole.System, "Second."), new(ChatRole.System, "Third."), Question, new(ChatRole.System, "Late."),
            new(ChatRole.User, "Well?")], new ChatOptions { Instructions = "First." }));

    [Fact]
    public void PartsOfAMessageAreOneText() => Assert.Contains(
        "<|turn>user\nRain or sun?<turn|>", TestChat.Prompt([new(ChatRole.User, [new TextContent("Rain "), new TextContent("or sun?")])]),
            StringComparison.Ordinal);

    [Fact]
    public void CallsAndResultsAreWhereTheTemplateLooksForThem()
    {
        Dictionary<string, object?> arguments =
            new() { ["city"] = "Oslo", ["days"] = 2, ["at"] = JsonSerializer.SerializeToElement(1.50m) };
        ChatMessage[] messages =
        [
            Question,
            new(ChatRole.Assistant, [new TextReasoningContent("Ask."), new FunctionCallContent("c1", "weather", arguments),
                new FunctionCallContent("c2", "now")]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", new { rain = true, mm = 3 }), new FunctionResultContent("c2", "noon")]),
        ];
        Assert.Equal(
            "<|turn>user\nRain?<turn|>\n<|turn>model\n<|channel>thought\nAsk.\n<channel|>"
            + "<|tool_call>call:weather{at:1.5,city:<|\"|>Oslo<|\"|>,days:2}<tool_call|><|tool_call>call:now{}<tool_call|>"
            + "<|tool_response>response:weather{mm:3,rain:true}<tool_response|>"
            + "<|tool_response>response:now{value:<|\"|>noon<|\"|>}<tool_response|>", TestChat.Prompt(messages));
    }

    [Theory]
    [InlineData("\"noon\"", "noon")]
    [InlineData("null", "")]
    [InlineData("42", "42")]
    [InlineData("true", "true")]
    [InlineData("[1,\"ä\"]", "[1,\"ä\"]")]
    public void AResultThatIsNoObjectIsText(string result, string expected)
    {
        ChatMessage[] messages = [
            Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f")]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", JsonSerializer.Deserialize<JsonElement?>(result))])];
        Assert.EndsWith($"response:f{{value:<|\"|>{expected}<|\"|>}}<tool_response|>", TestChat.Prompt(messages), StringComparison.Ordinal);
    }

    [Fact]
    public void AFailedFunctionSaysSoWithoutItsSecrets()
    {
        ChatMessage[] messages = [
            Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f")]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", null) { Exception = new InvalidOperationException("secret") }])];
        string prompt = TestChat.Prompt(messages);
        Assert.Contains("Error: the function failed.", prompt, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void UsageAndErrorsOfEarlierAnswersAreLeftOut() => Assert.Contains(
        "<|turn>model\nSorry.<turn|>",
        TestChat.Prompt([Question, new(ChatRole.Assistant, [new ErrorContent("no call"), new TextContent("Sorry."), new UsageContent()]),
            Question]), StringComparison.Ordinal);

    [Fact]
    public void ToolsAreDeclaredWithTheirSchemas()
    {
        AIFunction weather = AIFunctionFactory.Create((string city, int? days) => "", "weather", "Tells the weather.");
        string prompt = TestChat.Prompt([Question], new ChatOptions { Tools = [weather] });
        Assert.Contains("<|tool>declaration:weather{description:<|\"|>Tells the weather.<|\"|>,parameters:{", prompt,
            StringComparison.Ordinal);
        Assert.Contains("city:{type:<|\"|>string<|\"|>}", prompt, StringComparison.Ordinal);
        Assert.Contains("days:{nullable:true,type:<|\"|>integer<|\"|>}", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void ImagesAndTheirLikeAreRefusedByName()
    {
        NotSupportedException error = Assert.Throws<NotSupportedException>(
            () => TestChat.Prompt([Question, new(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")])]));
        Assert.Equal("messages[1] holds DataContent (image/png): this model takes text only. Leave it out, or put what it says into words.",
            error.Message);
        Assert.Throws<NotSupportedException>(() => TestChat.Prompt([new(ChatRole.User, [new UriContent("http://x/a.wav", "audio/wav")])]));
        Assert.Throws<NotSupportedException>(() => TestChat.Prompt([new(ChatRole.User, [new HostedFileContent("f")])]));
        Assert.Throws<NotSupportedException>(
            () => TestChat.Prompt(
            [Question, new(ChatRole.Tool, [new FunctionResultContent("c", new DataContent(new byte[] { 1 }, "image/png"))])]));
    }

    [Fact]
    public void WhatLeavesNothingToAnswerIsRefused()
    {
        Assert.Contains("no messages", Assert.Throws<ArgumentException>(() => TestChat.Prompt([])).Message, StringComparison.Ordinal);
        Assert.Contains("assistant's",
            Assert.Throws<ArgumentException>(() => TestChat.Prompt([Question, new(ChatRole.Assistant, "Yes.")])).Message,
            StringComparison.Ordinal);
        Assert.Contains("messages[1]",
            Assert.Throws<ArgumentException>(() => TestChat.Prompt([Question, new(ChatRole.Tool, "noon")])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void AResultOfSeveralTextsIsOneText()
    {
        AIContent[] texts = [new TextContent("rain, "), new TextContent("then sun")];
        Assert.Contains("response:f{value:<|\"|>rain, then sun<|\"|>}", Answered(texts), StringComparison.Ordinal);
        Assert.Contains("DataContent", Assert.Throws<NotSupportedException>(
            () => Answered(new AIContent[] { new TextContent("x"), new DataContent(new byte[] { 1 }, "image/png") })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void OfEqualNamesInAResultTheLastCounts() => Assert.Contains(
        "response:f{a:2}", Answered(JsonElement.Parse("""{"a": 1, "a": 2}""")), StringComparison.Ordinal);

    /// <summary>A template that prints the content would write the object as Python does.</summary>
    [Fact]
    public void AnObjectIsJsonTextForATemplateThatTakesTexts()
    {
        ChatTokenizer chat = new(TestChat.Tokenizer, ChatTemplate.Parse("{% for m in messages %}[{{ m.content }}]{% endfor %}"));
        using DiffusionGemmaChatClient client = TestChat.Saying("");
        ChatMessage[] messages = [
            Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f")]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", new { mm = 7, rain = true })])];
        int[] prompt = new ChatRequestReader(chat, TestChat.Model).Read(client, messages, null).Generation.Prompt;
        Assert.Equal("[Rain?][][{\"mm\":7,\"rain\":true}]", TestChat.Text(prompt));
    }

    /// <summary>A template that prints null as Python does, or takes no object: results are text there, null arguments left out.</summary>
    [Fact]
    public void WhatATemplateCannotWriteTakesAnotherForm()
    {
        const string Start = "{% macro v(x) %}{% if x is mapping %}{% for k, i in x.items() %}{{ k }}:{{ v(i) }};{% endfor %}{% else %}"
            + "{{ x }}{% endif %}{% endmacro %}{% for m in messages %}{% for c in m.tool_calls or [] %}{{ v(c.function.arguments) }}|"
            + "{% endfor %}";
        ChatMessage[] messages = [
            Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f", new Dictionary<string, object?>
            {
                ["a"] = null, ["b"] = JsonElement.Parse("""{"c":1,"d":null}"""),
            })]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", JsonElement.Parse("""{"mm":7,"note":null}"""))])];
        Assert.Equal("Rain?b:c:1;;|{\"mm\":7,\"note\":null}", Write(Start + "{{ v(m.content) }}{% endfor %}", messages));
        // It loops over the parts of whatever is no text, and finds none in an object.
        Assert.Equal("Rain?b:c:1;;|{\"mm\":7,\"note\":null}", Write(
            Start + "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content if p.type %}{{ p.text }}{% endfor %}"
            + "{% endif %}{% endfor %}", messages));
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => Write(Start + "{{ m.content if m.role != 'tool' }}{% endfor %}", messages));
        Assert.Contains("does not write a tool's result", error.Message, StringComparison.Ordinal);
    }

    /// <summary>As a history that puts a whole round into one message.</summary>
    [Fact]
    public void CallsResultsAndTextsOfOneMessageKeepTheirOrder()
    {
        ChatMessage round = new(ChatRole.Assistant, [new TextContent("Let me see."), new FunctionCallContent("c1", "f"),
            new FunctionResultContent("c1", "7"), new FunctionResultContent("c2", "8"), new TextContent("It is 7.")]);
        Assert.Equal("[user]Rain?[assistant]Let me see.f[tool]7[tool]8[assistant]It is 7.[user]Rain?", Write(
            "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}"
            + "{% endfor %}", [Question, round, Question]));
    }

    [Fact]
    public void ValuesThatHaveNoJsonAreNamed()
    {
        ChatMessage[] Call(object argument, object result) =>
        [
            Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f", new Dictionary<string, object?> { ["a"] = argument })]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", result)]),
        ];
        Assert.StartsWith("messages[1]: the arguments of 'f' cannot be written as JSON",
            Assert.Throws<ArgumentException>(() => TestChat.Prompt(Call(double.NaN, 1))).Message, StringComparison.Ordinal);
        Assert.StartsWith("messages[2]: the result of call 'c1' cannot be written as JSON",
            Assert.Throws<ArgumentException>(() => TestChat.Prompt(Call(1, double.NaN))).Message, StringComparison.Ordinal);
        Assert.Contains("null", Assert.Throws<ArgumentException>(
            () => TestChat.Prompt([Question], new ChatOptions { Tools = [null!] })).Message, StringComparison.Ordinal);
        AIFunctionDeclaration bad = AIFunctionFactory.CreateDeclaration(
            "f", "d", JsonElement.Parse("""{"properties": {"x": {"$ref": "https://x/y"}}}"""));
        Assert.StartsWith("ChatOptions.Tools: 'f': The schema refers to 'https://x/y'", Assert.Throws<NotSupportedException>(
            () => TestChat.Prompt([Question], new ChatOptions { Tools = [bad] })).Message, StringComparison.Ordinal);
    }

    private static string Write(string template, ChatMessage[] messages)
    {
        using DiffusionGemmaChatClient client = TestChat.Saying("");
        var reader = new ChatRequestReader(new ChatTokenizer(TestChat.Tokenizer, ChatTemplate.Parse(template)), TestChat.Model);
        return TestChat.Text(reader.Read(client, messages, null).Generation.Prompt);
    }

    [Theory]
    [InlineData("user")]
    [InlineData("system")]
    [InlineData("tool")]
    public void CallsOfOthersThanTheAssistantAreRefused(string role)
    {
        ChatMessage message = new(new ChatRole(role), [new FunctionCallContent("c1", "f")]);
        Assert.Contains("FunctionCallContent", Assert.Throws<ArgumentException>(() => TestChat.Prompt([message, Question])).Message,
            StringComparison.Ordinal);
    }

    private static string Answered(object result) => TestChat.Prompt([
        Question, new(ChatRole.Assistant, [new FunctionCallContent("c1", "f")]),
            new(ChatRole.Tool, [new FunctionResultContent("c1", result)])]);
}
