namespace DiffusionGemma;

public sealed class IgnoredKeysTests
{
    private const string Plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

    [Theory]
    [InlineData(Plain, """[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]""", "")]
    [InlineData(Plain, """[{"role": "user", "content": "q", "name": "Ada", "weight": 0},"""
        + """{"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking": "hm"}]""",
        "name weight reasoning_content thinking")]
    [InlineData(Plain, """[{"role": "user", "content": "q", "name": null, "x": "", "y": [], "z": {}}]""", "")]
    [InlineData(Plain + "{{ messages[0].name }}", """[{"role": "user", "content": "q", "name": "Ada", "id": 7}]""", "id")]
    [InlineData("{% for m in messages %}{{ m.reasoning_content if loop.last }}{{ m.content }}{% endfor %}",
        """[{"role": "assistant", "content": "a", "reasoning_content": "one"},"""
        + """{"role": "assistant", "content": "b", "reasoning_content": "two"}]""", "")]
    [InlineData("{% for m in messages %}{{ m.content if m.role != 'system' }}{% endfor %}",
        """[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]""", "content of system")]
    [InlineData("{% for m in messages %}{{ '[' ~ m.role ~ ']' }}{% endfor %}", """[{"role": "user", "content": "q!"}]""",
        "content of user")]
    [InlineData(Plain, """{"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f"}], "system": "Be brief.", "id": null}""",
        "tools system")]
    [InlineData(Plain + "{{ tools | tojson }}{{ raise_exception('x') if system is undefined }}",
        """{"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f"}], "system": "Be brief."}""", "")]
    [InlineData(Plain, """{"messages": [{"role": "user", "content": "q"}], "chat_template_kwargs": {"enable_thinking": true}}""",
        "enable_thinking")]
    [InlineData(Plain + "{% for m in messages %}{{ m.tool_calls | tojson if m.tool_calls }}{% endfor %}",
        """[{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},"""
        + """{"role": "tool", "content": "7", "tool_call_id": "c"}]""", "tool_call_id")]
    [InlineData("{% for m in messages %}{{ m.reasoning or m.thinking }}{{ m.content }}{% endfor %}",
        """[{"role": "assistant", "content": "a", "thinking": "hm", "reasoning": "hm"}]""", "thinking")]
    [InlineData("{% for m in messages if m.role != 'tool' or m.id == 'c' %}{{ m.content | upper }}{% endfor %}",
        """[{"role": "user", "content": "q"}, {"role": "tool", "id": "c", "content": "seven"}]""", "")]
    [InlineData("{% for m in messages if m.role != 'tool' or m.id == 'c' %}{{ m.content }}{% endfor %}",
        """[{"role": "user", "content": "q"}, {"role": "tool", "id": "d", "content": "seven"}]""", "id content of tool")]
    [InlineData("{% for m in messages %}{% for p in m.content if m.content is not string %}{{ p.text }}{% else %}{{ m.content if m.content "
        + "is string }}{% endfor %}{% endfor %}",
        """[{"role": "user", "content": "q"}, {"role": "tool", "content": {"mm": 7}}]""", "content of tool")]
    [InlineData("{% for m in messages %}{{ m.content.split('</think>')[-1].split('<channel|>')[-1] }}{% endfor %}",
        """[{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>hm</think>a"}]""", "thought in content")]
    [InlineData("{% for m in messages %}{{ m.content.split('</think>')[-1].split('<channel|>')[-1] }}{% endfor %}",
        """[{"role": "assistant", "content": "<|channel>thought\nhm\n<channel|>a"}]""", "thought in content")]
    [InlineData("{% for m in messages %}{{ m.content if loop.last else m.content.split('</think>')[-1] }}{% endfor %}",
        """[{"role": "assistant", "content": "<think>hm</think>a"}, {"role": "assistant", "content": "<think>so</think>a"}]""", "")]
    public void KeysThatNeverReachTheTextAreFound(string source, string row, string expected) => Assert.Equal(
        expected, string.Join(' ', ChatTemplate.Parse(source).FindIgnoredKeys(ChatConversation.Parse(row))));
}
