namespace DiffusionGemma;

public sealed class ChatTemplateTests
{
    private static readonly ChatConversation Chat = ChatConversation.Of(("user", "q"), ("assistant", "a"));

    [Fact]
    public void TheFileComesBeforeTheConfigAndTheDefaultOfANamedListIsTaken()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        Assert.Contains("chat_template", Assert.Throws<FileNotFoundException>(() => ChatTemplate.Load(folder.Path)).Message);

        File.WriteAllText(folder.File("tokenizer_config.json"), """{"chat_template": "config {{ eos_token }}", "eos_token": "<e>"}""");
        Assert.Equal("config <e>", ChatTemplate.Load(folder.Path).Render(Chat, false).Text);

        File.WriteAllText(folder.File("tokenizer_config.json"),
            """{"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "named {{ bos_token }}"}],"""
            + """ "bos_token": {"content": "<b>"}}""");
        Assert.Equal("named <b>", ChatTemplate.Load(folder.Path).Render(Chat, false).Text);

        File.WriteAllText(folder.File("tokenizer_config.json"), """{"chat_template": [{"name": "default"}]}""");
        Assert.Contains("'template'", Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(folder.Path)).Message);
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"chat_template": [{"name": "other", "template": "no"}]}""");
        Assert.Contains("default", Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(folder.Path)).Message);
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"chat_template": 5}""");
        Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(folder.Path));
        File.WriteAllText(folder.File("tokenizer_config.json"), "{");
        Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(folder.Path));

        File.WriteAllText(folder.File("tokenizer_config.json"), "{}");
        File.WriteAllText(folder.File("chat_template.jinja"), "file {{ pad_token is defined }}");
        Assert.Equal("file False", ChatTemplate.Load(folder.Path).Render(Chat, false).Text);
    }

    /// <summary>As in transformers' get_chat_template: tools that are not None take "tool_use".</summary>
    [Fact]
    public void AConversationWithToolsTakesTheTemplateForTools()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        ChatConversation plain = ChatConversation.Parse("""{"messages": [{"role": "user", "content": "q"}], "tools": null}""");
        ChatConversation[] withTools = [
            ChatConversation.Parse("""{"messages": [{"role": "user", "content": "q"}], "tools": [{}]}"""),
            ChatConversation.Parse("""{"messages": [{"role": "user", "content": "q"}], "tools": []}""")];
        File.WriteAllText(folder.File("tokenizer_config.json"),
            """
            {"chat_template": [{"name": "default", "template": "plain"},
             {"name": "tool_use", "template": "{% generation %}tools{{ bos_token }}{% endgeneration %}"},
             {"name": "rag", "template": "no"}], "bos_token": "<b>"}
            """);
        Check("plain", "tools<b>");

        File.WriteAllText(folder.File("chat_template.jinja"), "file");
        Check("file", "file");
        Directory.CreateDirectory(folder.File("additional_chat_templates"));
        File.WriteAllText(folder.File("additional_chat_templates/tool_use.jinja"), "file with tools");
        Check("file", "file with tools");

        // Each with its own way of telling what the assistant wrote.
        ChatTokenizer chat = new(DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat")), ChatTemplate.Load(Marked()));
        Assert.DoesNotContain(false, chat.Encode("""{"messages": [{"role": "assistant", "content": "a"}], "tools": [{}]}""").AssistantMask);
        Assert.DoesNotContain(true, chat.Encode("""{"messages": [{"role": "assistant", "content": "a"}]}""").AssistantMask);

        void Check(string expected, string expectedWithTools)
        {
            ChatTemplate template = ChatTemplate.Load(folder.Path);
            Assert.Equal(expected, template.Render(plain, false).Text);
            Assert.All(withTools, chat => Assert.Equal(expectedWithTools, template.Render(chat, false).Text));
        }

        string Marked()
        {
            File.WriteAllText(folder.File("chat_template.jinja"), "{% generation %}{% endgeneration %}a");
            File.WriteAllText(folder.File("additional_chat_templates/tool_use.jinja"), "{% generation %}a{% endgeneration %}");
            return folder.Path;
        }
    }

    [Fact]
    public void AFileIsReadAsPythonReadsIt()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllBytes(folder.File("chat_template.jinja"), [0xEF, 0xBB, 0xBF, .. "a\r\nb"u8]);
        Assert.Equal("\uFEFFa\nb", ChatTemplate.Load(folder.Path).Render(Chat, false).Text);
        File.WriteAllBytes(folder.File("chat_template.jinja"), [(byte)'a', 0xC3]);
        Assert.Contains("chat_template.jinja: the chat template is not valid UTF-8",
            Assert.Throws<InvalidDataException>(() => ChatTemplate.Load(folder.Path)).Message);
    }

    [Fact]
    public void AModelsOwnTokensAreVariablesToo()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("chat_template.jinja"), "{{ image_token }}{{ boi_token }}");
        File.WriteAllText(folder.File("tokenizer_config.json"),
            """{"boi_token": "<b>", "extra_special_tokens": {"image_token": "<i>", "boi_token": "other"}}""");
        Assert.Equal("<i><b>", ChatTemplate.Load(folder.Path).Render(Chat, false).Text);
    }

    [Theory]
    [InlineData("x\n\n{% nosuch %}", 3, "nosuch")]
    [InlineData("{% if true %}\n{{ 1 | nosuch }}{% endif %}", 2, "nosuch")]
    [InlineData("\n{% for x in y %}", 2, "endfor")]
    [InlineData("{% include 'x' %}", 1, "include")]
    [InlineData("a\n{# b\nc #}\n{{ 'd\ne' }}\n{{ ( }}", 6, "")]
    public void ATemplateThatCannotBeReadSaysWhere(string source, int line, string named)
    {
        ChatException error = Assert.Throws<ChatException>(() => ChatTemplate.Parse(source));
        Assert.Equal(line, error.TemplateLine);
        Assert.Contains($"line {line}", error.Message);
        Assert.Contains(named, error.Message);
    }

    [Theory]
    [InlineData("a\n\n{{ nothing.more }}", 3, "'nothing' is undefined")]
    [InlineData("{% macro f(x) %}\n{{ x.y.z }}\n{% endmacro %}\n{{ f(messages[0]) }}", 2, "'dict object' has no attribute 'y'")]
    [InlineData("{% for m in messages %}\n{% if m.role == 'assistant' %}\n{{ m.content + 1 }}{% endif %}{% endfor %}", 3,
        "'str' and 'int'")]
    [InlineData("{% macro f() %}{% generation %}x{% endgeneration %}{% endmacro %}\n{{ f() }}", 1, "generation")]
    public void ATemplateThatFailsSaysWhere(string source, int line, string named)
    {
        ChatException error = Assert.Throws<ChatException>(() => ChatTemplate.Parse(source).Render(Chat, false));
        Assert.Equal(line, error.TemplateLine);
        Assert.Contains(named, error.Message);
        Assert.Null(error.TemplateWords);
    }

    [Fact]
    public void TheTemplatesOwnWordsArePassedOn()
    {
        ChatTemplate template = ChatTemplate.Parse(
            "{% for m in messages %}\n{% if m.role != 'user' %}{{ raise_exception('Only users, not ' + m.role) }}{% endif %}{% endfor %}");
        ChatException error = Assert.Throws<ChatException>(() => template.Render(Chat, false));
        Assert.Equal(("Only users, not assistant", 2), (error.TemplateWords, error.TemplateLine));
        Assert.Contains("Only users, not assistant", error.Message);
    }

    /// <summary>Each would run for ever, or fill the memory, or the stack.</summary>
    [Theory]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{{ 'xxxxxxxxxxxxxxxx' }}{% endfor %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
        + "{{ ns.s | tojson | length }}")]
    [InlineData("{% set ns = namespace(s=[1], t=[1]) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}"
        + "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{{ 'x' * 9999999999 }}")]
    [InlineData("{{ [1] * 9999999999 }}")]
    [InlineData("{{ 10 ** (10 ** 10) }}")]
    [InlineData("{{ 'x'.center(999999999) }}")]
    [InlineData("{{ '%999999999d' % 1 }}")]
    [InlineData("{{ ('x' * 99999).replace('x', 'y' * 99999) }}")]
    [InlineData("{{ (range(99999) | list).index(-1) }}{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")]
    [InlineData("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")]
    [InlineData("{% macro f(x) %}{% for a in [1] %}{% if true %}{{ (x | upper) ~ [f(x)] | join }}{% endif %}{% endfor %}"
        + "{% endmacro %}{{ f('x') }}")]
    [InlineData("{% for x in [[[1]]] recursive %}{{ loop([x]) }}{% endfor %}")]
    [InlineData("{% set ns = namespace(s=[]) %}{% for a in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}")]
    [InlineData("{% set ns = namespace(n=9) %}{% for a in range(999) %}{% set ns.n = ns.n * ns.n %}{% endfor %}")]
    public void ATemplateCannotHangFillOrOverrunTheProcess(string source)
    {
        ChatException? error = null;
        // A thread of the thread pool's size of stack or less: the guard must not depend on a deep one.
        Thread thread = new(() =>
            error = Record.Exception(() => ChatTemplate.Parse(source).Render(Chat, false)) as ChatException, maxStackSize: 1 << 20);
        thread.Start();
        Assert.True(thread.Join(TimeSpan.FromMinutes(5)));        // a few seconds on an idle machine; for ever is longer than either
        Assert.NotNull(error);
    }

    [Theory]
    [InlineData("{{ ", "(", " }}")]
    [InlineData("{{ ", "[", " }}")]
    [InlineData("{{ ", "not ", "x }}")]
    [InlineData("{{ ", "-", "1 }}")]
    [InlineData("{{ 1", " + 1", " }}")]
    [InlineData("{{ x", ".x", " }}")]
    [InlineData("{{ x", "|trim", " }}")]
    [InlineData("", "{% if true %}", "")]
    [InlineData("{{ 1", " if 1 else 1", " }}")]
    public void DeepNestingIsNoStackOverflow(string before, string repeated, string after)
    {
        string source = before + string.Concat(Enumerable.Repeat(repeated, 100_000)) + after;
        Exception? error = Record.Exception(() => ChatTemplate.Parse(source).Render(Chat, false));
        Assert.True(error is null or ChatException, error?.ToString());
    }

    [Fact]
    public void ManyThreadsRenderTheSame()
    {
        ChatTemplate template = ChatTemplate.Parse(File.ReadAllText(TestFiles.Path("goldens", "templates", "turns_with_tools.jinja")));
        string expected = template.Render(Chat, true).Text;
        Parallel.For(0, 200, _ => Assert.Equal(expected, template.Render(Chat, true).Text));
    }

    /// <summary>
    /// A template that fails on a plain question and answer too is at fault itself; one that fails on a row's values is not.
    /// </summary>
    [Theory]
    [InlineData("{{ messages | nosuch }}", true)]
    [InlineData("{{ nosuch.attribute }}", true)]
    [InlineData("\n{{ 1 + 'a' }}", true)]
    [InlineData("{{ messages[0].n + 1 if messages[0].n }}", false)]
    [InlineData("{{ messages[2].content.a.b }}", true)]
    [InlineData("{{ raise_exception('no') }}", false)]
    public void AFaultOfTheTemplateIsToldFromARows(string source, bool isTemplateFault)
    {
        ChatException error = Assert.Throws<ChatException>(() => ChatTemplate.Parse(source).Render(
            ChatConversation.Parse("""[{"role": "user", "content": "q", "n": "x"}, {"role": "assistant", "content": "a"}]"""), false));
        Assert.Equal(isTemplateFault, error.IsTemplateFault);
    }

    [Fact]
    public void ATemplateThatCannotBeReadIsAtFault() =>
        Assert.True(Assert.Throws<ChatException>(() => ChatTemplate.Parse("{% if %}")).IsTemplateFault);

    [Fact]
    public void A_file_takes_the_place_of_the_folders_own_and_keeps_its_special_tokens()
    {
        using var folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("chat_template.jinja"), "own");
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"bos_token":"<b>"}""");
        File.WriteAllText(folder.File("other.jinja"), "{{ bos_token }} other");
        Assert.Equal("<b> other", ChatTemplate.LoadFile(folder.Path, folder.File("other.jinja")).Render(Chat, false).Text);
        string missing = folder.File("missing.jinja");
        Assert.Contains(missing, Assert.Throws<FileNotFoundException>(() => ChatTemplate.LoadFile(folder.Path, missing)).Message);
    }
}
