namespace DiffusionGemma;

public sealed class TemplateFuzzTests
{
    private static readonly string[] Pieces =
    [
        "{%", "%}", "{{", "}}", "-", "|", "(", ")", "[", "]", "'", " in ", " is ", ":", ",", "~", "loop", "1", ".", " if ", " else ", "*",
        "{#", "#}", "messages", "none", "not ", "**", "//", "9999999999",
        "{% for x in messages %}", "{% endfor %}", "{% if x %}", "{% endif %}", "{% macro f(a) %}", "{% endmacro %}", "{{ f(f) }}",
        "{% set x %}", "{% endset %}", "{% generation %}", "{% endgeneration %}",
        "|tojson", "|map('upper')", "|sort", "|join(',')", "|list", "|length", "[::-1]", "[1:]", ".items()", ".split()", ".format(1)",
        "'%9d' % 3", "range(99999)", "namespace(a=1)", "recursive", "loop(messages)",
    ];

    /// <summary>
    /// Whatever stands in the template, it renders, or fails with the typed error and a line, or the path of a value of the row.
    /// </summary>
    [Fact]
    public void BrokenTemplatesFailOnlyWithTheTypedError()
    {
        string[] sources = [.. Directory.GetFiles(TestFiles.Path("goldens", "templates")).Order(StringComparer.Ordinal)
            .Select(File.ReadAllText), ChatTemplate.Load(Fixtures.Checkpoint("tiny-chat")).Source];
        ChatConversation[] chats =
        [
            ChatConversation.Of(("user", "q"), ("assistant", "a")),
            ChatConversation.Parse(
                """[{"role": "system", "content": [{"type": "text", "text": "x"}]}, {"role": "tool", "content": {"a": [1.5, null]}}]"""),
        ];
        int round = 0;
        Fuzzer.Run(
            "template",
            random => Mutations.OfText(sources[random.Next(sources.Length)], random, Pieces),
            input =>
            {
                round++;
                try
                {
                    ChatTemplate.Parse(input).Render(chats[round % 2], round % 4 < 2);
                }
                catch (ChatException exception)
                {
                    Assert.True(exception.TemplateLine > 0 || exception.Key is not null, exception.Message);
                }
            });
    }
}
