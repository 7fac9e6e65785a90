using System.Text;

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
        (int chat, bool opens) = (0, false);
        new MutationFuzzer
        {
            Name = "template",
            Make = random =>
            {
                (chat, opens) = (random.Next(2), random.Next(2) == 0);
                return Encoding.UTF8.GetBytes(Mutations.OfText(random, sources[random.Next(sources.Length)], Pieces));
            },
            Read = input =>
            {
                try
                {
                    ChatTemplate.Parse(Encoding.UTF8.GetString(input)).Render(chats[chat], opens);
                }
                catch (ChatException exception)
                {
                    Assert.True(exception.TemplateLine > 0 || exception.Key is not null, exception.Message);
                }
            },
        }.Run();
    }
}
