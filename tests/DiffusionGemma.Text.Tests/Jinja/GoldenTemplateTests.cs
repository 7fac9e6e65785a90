using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// The interpreter against Python's jinja2 as transformers configures it: goldens/make_goldens.py writes what is compared here.
/// </summary>
public sealed class GoldenTemplateTests
{
    private static readonly JsonElement Golden =
        JsonDocument.Parse(File.ReadAllText(TestFiles.Path("goldens", "goldens.json"))).RootElement;

    public static IEnumerable<TheoryDataRow<string, int>> Cases() =>
        from string @group in (string[])["expressions", "templates"]
        from int place in Enumerable.Range(0, Golden.GetProperty(@group).GetArrayLength())
        select new TheoryDataRow<string, int>(@group, place);

    [Theory]
    [MemberData(nameof(Cases))]
    public void RendersAsPythonDoes(string group, int place)
    {
        JsonElement golden = Golden.GetProperty(group)[place];
        string? error = golden.GetProperty("error").GetString();
        try
        {
            RenderedChat chat = Render(golden);
            Assert.True(error is null, $"jinja2 fails on {golden}, this gives: {chat.Text}");
            Assert.Equal(golden.GetProperty("text").GetString(), chat.Text);
            Assert.Equal(
                golden.GetProperty("spans").EnumerateArray().Select(span => new TextSpan(span[0].GetInt32(), span[1].GetInt32())),
                    chat.GeneratedSpans);
        }
        catch (ChatException exception)
        {
            Assert.True(error is not null, $"{exception.Message} in {golden}");
            Assert.NotNull(exception.TemplateLine);
            Assert.Equal(error == "raise" ? golden.GetProperty("words").GetString() : null, exception.TemplateWords);
        }
    }

    private static RenderedChat Render(JsonElement golden)
    {
        bool prompt = golden.TryGetProperty("add_generation_prompt", out JsonElement given) && given.GetBoolean();
        ChatTemplate template = golden.TryGetProperty("template", out JsonElement name)
            ? JinjaReference.Templates[name.GetString()!]
            : ChatTemplate.Parse(golden.GetProperty("source").GetString()!, JinjaReference.Clock);
        JsonElement row = golden.TryGetProperty("row", out JsonElement own) ? own : Golden.GetProperty("row");
        return JinjaReference.Render(template, row, prompt);
    }
}
