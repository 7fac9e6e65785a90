using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class ToolArgumentsTests
{
    /// <summary>A template with a branch for texts, as many have; it must never be taken.</summary>
    private static readonly ChatTemplate Template = ChatTemplate.Parse(
        "{% for call in messages[1].tool_calls %}{% set f = call.function or call %}"
        + "{{ f.name }}{{ '{' ~ f.arguments ~ '}' if f.arguments is string else f.arguments | tojson }}{% endfor %}");

    [Theory]
    [InlineData("""{"function": {"name": "f", "arguments": "{\"city\":\"Oslo\"}"}}""", """f{"city": "Oslo"}""")]
    [InlineData("""{"function": {"name": "f", "arguments": {"city": "Oslo"}}}""", """f{"city": "Oslo"}""")]
    [InlineData("""{"id": "c1", "type": "function", "name": "f", "arguments": "{\"n\": 1.0, \"l\": [1, null]}"}""",
        """f{"n": 1.0, "l": [1, null]}""")]
    [InlineData("""{"function": {"name": "f", "arguments": "{\"a\":1,\"a\":2}"}}""", """f{"a": 2}""")]
    [InlineData("""{"function": {"name": "f", "arguments": " "}}""", "f{}")]
    [InlineData("""{"function": {"name": "f", "arguments": null}}""", "f{}")]
    [InlineData("""{"name": "f", "parameters": {"city": "Oslo"}}""", """f{"city": "Oslo"}""")]
    [InlineData("""{"function": {"name": "f", "args": "{\"city\":\"Oslo\"}"}}""", """f{"city": "Oslo"}""")]
    [InlineData("""{"function": {"name": "f"}}""", "f{}")]
    public void ArgumentsAreAnObjectBeforeTheTemplateSeesThem(string call, string expected) =>
        Assert.Equal(expected, Template.Render(Conversation(call), addGenerationPrompt: false).Text);

    [Theory]
    [InlineData("Oslo")]
    [InlineData("{\"city\": ")]
    [InlineData("[1]")]
    [InlineData("5")]
    [InlineData("null")]
    [InlineData("\"{}\"")]
    [InlineData("{} {}")]
    public void ATextThatIsNoObjectIsRefusedByMessageAndCall(string arguments)
    {
        JsonObject good = new() { ["function"] = new JsonObject { ["name"] = "g", ["arguments"] = "{}" } };
        JsonObject bad = new() { ["function"] = new JsonObject { ["name"] = "f", ["arguments"] = arguments } };
        ChatException error = Assert.Throws<ChatException>(() => Conversation(good.ToJsonString(), bad.ToJsonString()));
        Assert.Equal((1, "messages[1].tool_calls[1].arguments"), (error.MessageIndex, error.Key));
        Assert.Contains("messages[1].tool_calls[1]", error.Message);
        Assert.Contains("no JSON object", error.Message);
    }

    [Fact]
    public void TheOlderFunctionCallIsReadToo()
    {
        ChatConversation conversation = ChatConversation.Parse("""
            [{"role": "user", "content": "q"},
             {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{\"a\": 1}"}}]
            """);
        Assert.Equal("1", ChatTemplate.Parse("{{ messages[1].function_call.arguments.a }}").Render(conversation, false).Text);
    }

    [Fact]
    public void CallsAsJsonTextAreAList()
    {
        Assert.Equal("f{\"a\": 1}", Template.Render(ChatConversation.Parse("""
            [{"role": "user", "content": "q"},
             {"role": "assistant", "content": null, "tool_calls": "[{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}}]"}]
            """), false).Text);
        Assert.True(ChatConversation.Parse("""[{"role": "assistant", "content": "", "tool_calls": " "}]""").HasBlankAnswer);
        ChatException error = Assert.Throws<ChatException>(
            () => ChatConversation.Parse("""[{"role": "assistant", "content": "", "tool_calls": "f(1)"}]"""));
        Assert.Equal((0, "messages[0].tool_calls"), (error.MessageIndex, error.Key));
    }

    /// <summary>Random arguments come to the same, given as an object and as its JSON text.</summary>
    [Fact]
    public void TextAndObjectAreTheSame()
    {
        Random random = new(3);
        for (int n = 0; n < 300; n++)
        {
            JsonObject arguments = new(Enumerable.Range(0, random.Next(4)).Select(i => new KeyValuePair<string, JsonNode?>(
                $"k{i}", random.Next(4) switch { 0 => null, 1 => random.Next(), 2 => "{\"x\": 1}", _ => new JsonArray(true, "é\"\n") })));
            string Call(JsonNode given) =>
                new JsonObject { ["function"] = new JsonObject { ["name"] = "f", ["arguments"] = given } }.ToJsonString();
            Assert.Equal(
                Template.Render(Conversation(Call(arguments.DeepClone())), false).Text,
                Template.Render(Conversation(Call(JsonValue.Create(arguments.ToJsonString()))), false).Text);
        }
    }

    private static ChatConversation Conversation(params string[] calls) => ChatConversation.Parse(
        $$"""[{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "tool_calls": [{{string.Join(", ", calls)}}]}]""");
}
