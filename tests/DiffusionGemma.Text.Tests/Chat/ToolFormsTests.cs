namespace DiffusionGemma;

/// <summary>Calls and declarations in an older or a shorter form, under templates that read today's.</summary>
public sealed class ToolFormsTests
{
    private const string Today = "{% for t in tools or [] %}<{{ t.function.name }} {{ t.function.parameters | tojson }}>{% endfor %}"
        + "{% for m in messages %}[{{ m.role }}]{{ m.content + '' }}{% for c in m.tool_calls or [] %}"
        + "{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}";

    [Theory]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "function_call": {"name": "f", "arguments":"""
        + """ "{\"a\": 1}"}}, {"role": "function", "name": "f", "content": "7"}], "functions": [{"name": "f", "parameters": {}}]}""",
        """<f {}>[user]q[assistant]f{"a": 1}[tool]7""")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "c","""
        + """ "name": "f", "arguments": {"a": 1}}, {"name": "g"}]}], "tools": [{"name": "f", "description": "d", "parameters": {}}]}""",
        """<f {}>[user]q[assistant]f{"a": 1}g{}""")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}""",
        """<f {"type": "object"}>[user]q""")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}], "tools":"""
        + """ ["{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": \"{\\\"type\\\": \\\"object\\\"}\"}}"]}""",
        """<f {"type": "object"}>[user]q""")]
    [InlineData("""{"messages": [{"role": "assistant", "tool_calls": []}]}""", "[assistant]")]
    public void TheyTakeTheFormThatTheTemplateReads(string row, string expected) =>
        Assert.Equal(expected, ChatTemplate.Parse(Today).Render(ChatConversation.Parse(row), false).Text);

    /// <summary>A template that reads the form of the row gets it as it is.</summary>
    [Theory]
    [InlineData("{{ messages[0].function_call.name }} {{ functions | tojson }}", """f [{"name": "f"}]""",
        """{"messages": [{"role": "assistant", "content": null, "function_call": {"name": "f"}}], "functions": [{"name": "f"}]}""")]
    [InlineData("{{ messages[0].tool_calls | tojson }}{{ tools | tojson }}", """[{"name": "f", "arguments": {}}][{"name": "f"}]""",
        """{"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {}}]}],"""
        + """ "tools": [{"name": "f"}]}""")]
    public void ATemplateThatReadsTheRowsFormGetsIt(string source, string expected, string row) =>
        Assert.Equal(expected, ChatTemplate.Parse(source).Render(ChatConversation.Parse(row), false).Text);
}
