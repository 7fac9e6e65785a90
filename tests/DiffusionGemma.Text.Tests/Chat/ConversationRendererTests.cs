using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class ConversationRendererTests
{
    private const string Plain = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}";

    /// <summary>Templates that do not look at parts, each in another way.</summary>
    [Theory]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}")]
    [InlineData(Plain)]
    [InlineData("{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% endfor %}")]
    [InlineData("{% for m in messages %}{{ '[%s]%s' % (m.role, m.content) }}{% endfor %}")]
    [InlineData("{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}")]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content | join('') }}{% endfor %}")]
    [InlineData("{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}"
        + "{% else %}{{ m.content[0].text }}{% endif %}{% endfor %}")]
    public void PartsAreJoinedBeforeATemplateThatDoesNotLookAtThem(string source)
    {
        ChatConversation conversation = ChatConversation.Parse("""
            [{"role": "user", "content": [{"type": "text", "text": "Yo, "}, {"type": "text", "text": "you"}]},
             {"role": "assistant", "content": [{"type": "text", "text": "Yo"}]}, {"role": "user", "content": []}]
            """);
        Assert.Equal("[user]Yo, you[assistant]Yo[user]", ChatTemplate.Parse(source).Render(conversation, false).Text);
    }

    [Fact]
    public void APartOfATemplateThatWritesJsonIsJoinedToo() => Assert.Equal("\"Yo\"", Render("{{ messages[0].content | tojson }}",
        """[{"role": "user", "content": [{"type": "text", "text": "Yo"}]}]"""));

    /// <summary>Templates that print the list itself: a part's other keys come out too.</summary>
    [Theory]
    [InlineData("{% macro w(v) %}{% if v is string %}<{{ v }}>{% elif v is mapping %}{% for k, x in v | dictsort %}{{ k }}:{{ w(x) }}"
        + "{% endfor %}{% else %}{% for x in v %}{{ w(x) }}{% endfor %}{% endif %}{% endmacro %}{{ w(messages[0].content) }}", "<ab>")]
    [InlineData("{% for p in messages[0].content %}{% for k, v in p.items() %}{{ k }}={{ v }};{% endfor %}{% endfor %}", null)]
    [InlineData("{{ messages[0].content | tojson | replace('\"', '') }}", "ab")]
    public void ATemplateThatPrintsTheListGetsTheText(string source, string? expected)
    {
        const string Row = """[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]""";
        if (expected is null) Assert.Throws<ChatException>(() => Render(source, Row));
        else Assert.Equal(expected, Render(source, Row));
    }

    [Fact]
    public void ATemplateThatReadsPartsGetsThem() => Assert.Equal("<a><b >c", Render(
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}"
        + "{% endif %}{% endfor %}",
        """
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b "}]},
         {"role": "assistant", "content": "c"}]
        """));

    /// <summary>It reads the user's parts, and fails on the system's.</summary>
    [Fact]
    public void EveryMessageIsLookedAtByItself() => Assert.Equal("Be brief.!<a><b>", Render(
        "{{ messages[0].content + '!' }}{% for p in messages[1].content %}<{{ p.text }}>{% endfor %}",
        """
        [{"role": "system", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
         {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
        """));

    [Theory]
    [InlineData(Plain)]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}")]
    [InlineData("{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% endfor %}")]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content if m.content is not none }}{% endfor %}")]
    public void NullContentIsNoText(string source) => Assert.Equal("[user]q[assistant]", Render(
        source, """[{"role": "user", "content": "q"}, {"role": "assistant", "content": null}]"""));

    [Fact]
    public void ATemplateThatTellsNullFromEmptySeesNull() => Assert.Equal("null", Render(
        "{{ 'null' if messages[0].content is none else 'text' }}", """[{"role": "user", "content": null}]"""));

    /// <summary>Rows that would be written as Python prints them: the row is refused, and the path named.</summary>
    [Theory]
    [InlineData("messages[0].name", "{{ messages[0].name }}", """[{"role": "user", "content": "q", "name": null}]""")]
    [InlineData("messages[0].name", "{{ '%s' % messages[0].name }}", """[{"role": "user", "content": "q", "name": null}]""")]
    [InlineData("messages[1].content", "{{ messages[1].content }}",
        """[{"role": "user", "content": "q"}, {"role": "tool", "content": {"mm": 7}}]""")]
    [InlineData("messages[0].tool_calls", "{{ messages[0].tool_calls }}",
        """[{"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}]""")]
    [InlineData("messages[0].tool_calls[0].arguments", "{{ 'args: ' ~ messages[0].tool_calls[0].arguments }}",
        """[{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{\"a\": 1}"}]}]""")]
    [InlineData("messages[0].tool_calls[0].arguments.b",
        "{% for k, v in messages[0].tool_calls[0].arguments.items() %}{{ k }}={{ v }}{% endfor %}",
        """[{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 1, "b": true}}]}]""")]
    [InlineData("tools[1]", "{% for t in tools %}{{ t if t.show }}{% endfor %}",
        """{"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f"}, {"name": "g", "show": true}]}""")]
    [InlineData("tools[0].function.description", "{{ tools[0].function.description }}",
        """{"messages": [{"role": "user", "content": "q"}], "tools": [{"function": {"name": "f", "description": null}}]}""")]
    [InlineData("messages[1].role", "{{ messages[1:] | map(attribute='role') | list }}",
        """[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]""")]
    [InlineData("facts", "{{ facts }}", """{"messages": [{"role": "user", "content": "q"}], "facts": [1, 2]}""")]
    [InlineData("facts", "{{ facts }}", """{"messages": [{"role": "user", "content": "q"}], "facts": null}""")]
    public void AnythingElseThatPythonWouldPrintIsRefusedByItsPath(string path, string source, string row)
    {
        ChatException error = Assert.Throws<ChatException>(() => Render(source, row));
        Assert.Equal(path, error.Key);
        Assert.StartsWith(path + " is ", error.Message);
        Assert.Equal(path.StartsWith("messages") ? path[9] - '0' : null, error.MessageIndex);
        Assert.False(error.IsTemplateFault);
    }

    [Theory]
    [InlineData("{{ tools | tojson }} {{ messages[0].n }} {{ messages[0].f }}", "null 1 1.0",
        """[{"role": "user", "content": "q", "n": 1, "f": 1.0}]""")]
    [InlineData("{{ [1, none, 'x'] }}{{ tools }}", "[1, None, 'x']None", """[{"role": "user", "content": "q", "n": null}]""")]
    [InlineData("{{ enable_thinking }}", "True", """{"messages": [{"role": "user", "content": "q"}], "enable_thinking": true}""")]
    [InlineData("{{ 'yes' if messages[0].train else 'no' }}", "yes", """[{"role": "user", "content": "None", "train": true}]""")]
    [InlineData("{{ messages[0].content }}", "None", """[{"role": "user", "content": "None", "name": null}]""")]
    [InlineData("{{ messages[0].data | tojson }}", """{"a": [true, null]}""",
        """[{"role": "user", "content": "", "data": {"a": [true, null]}}]""")]
    public void WhatTheTemplateWritesOfItsOwnOrAsJsonStays(string source, string expected, string row) =>
        Assert.Equal(expected, Render(source, row));

    [Fact]
    public void ARefusalOfTheTemplateIsItsOwn()
    {
        ChatException error = Assert.Throws<ChatException>(() => Render(
            "{% if messages[0].content is none %}{{ raise_exception('no content') }}{% endif %}",
                """[{"role": "user", "content": null}]"""));
        Assert.Equal("no content", error.TemplateWords);
    }

    /// <summary>
    /// Text parts of any row and template come to the same as the text in one, where the template does not look at parts.
    /// </summary>
    [Fact]
    public void PartsTrainAsTheirText()
    {
        ChatTokenizer chat = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        Random random = new(4);
        string[] texts = ["Yo", " and ", "{'type': 'text'}", "日本", "<turn|>", "\n", ""];
        for (int n = 0; n < 200; n++)
        {
            JsonArray whole = [], parts = [];
            for (int i = 0; i < 2 + random.Next(3); i++)
            {
                string role = i % 2 == 0 ? "user" : "assistant";
                string[] pieces = [.. Enumerable.Range(0, random.Next(4)).Select(_ => texts[random.Next(texts.Length)])];
                whole.Add(new JsonObject { ["role"] = role, ["content"] = string.Concat(pieces) });
                parts.Add(new JsonObject
                {
                    ["role"] = role,
                    ["content"] = new JsonArray([.. pieces.Select(piece => new JsonObject { ["type"] = "text", ["text"] = piece })]),
                });
            }
            (TokenizedChat expected, TokenizedChat actual) = (chat.Encode(whole.ToJsonString()), chat.Encode(parts.ToJsonString()));
            Assert.Equal(expected.Ids, actual.Ids);
            Assert.Equal(expected.AssistantMask, actual.AssistantMask);
        }
    }

    private static string Render(string source, string row) => ChatTemplate.Parse(source).Render(ChatConversation.Parse(row), false).Text;
}
