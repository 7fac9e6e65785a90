using System.Text.Json;
using DiffusionGemma.Text.Jinja.Values;

namespace DiffusionGemma.Tests.Jinja;

/// <summary>
/// The interpreter against Python's jinja2 as transformers configures it: goldens/make_goldens.py writes what is compared here.
/// </summary>
public sealed class GoldenTemplateTests
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(TestFiles.Path("goldens", "goldens.json"))).RootElement;

    private static readonly Dictionary<string, ChatTemplate> s_templates = Directory.GetFiles(TestFiles.Path("goldens", "templates"))
        .ToDictionary(path => Path.GetFileNameWithoutExtension(path), path => ChatTemplate.Parse(File.ReadAllText(path), new FixedClock()));

    public static IEnumerable<TheoryDataRow<string, int>> Cases() =>
        from string @group in (string[])["expressions", "templates", "fuzz"]
        from int place in Enumerable.Range(0, s_golden.GetProperty(@group).GetArrayLength())
        select new TheoryDataRow<string, int>(@group, place);

    [Theory]
    [MemberData(nameof(Cases))]
    public void RendersAsPythonDoes(string group, int place)
    {
        JsonElement golden = s_golden.GetProperty(group)[place];
        string? error = golden.GetProperty("error").GetString();
        try
        {
            RenderedChat chat = Render(golden);
            Assert.True(error is null, $"jinja2 fails on {golden}, this gives: {chat.Text}");
            Assert.Equal(golden.GetProperty("text").GetString(), chat.Text);
            Assert.Equal(
                golden.GetProperty("spans").EnumerateArray().Select(span => new TextSpan(span[0].GetInt32(), span[1].GetInt32())), chat.GeneratedSpans);
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
            ? s_templates[name.GetString()!]
            : ChatTemplate.Parse(golden.GetProperty("source").GetString()!, new FixedClock());
        JsonElement row = golden.TryGetProperty("row", out JsonElement own) ? own : s_golden.GetProperty("row");
        // Straight to the variables: the goldens hold rows too that a conversation's rules would refuse.
        List<KeyValuePair<string, object?>> variables =
        [
            new("tools", null), new("documents", null), new("bos_token", "<bos>"), new("eos_token", "<eos>"), new("pad_token", "<pad>"), new("unk_token", "<unk>"),
            .. JsonValues.ReadObject(row).Select(item => new KeyValuePair<string, object?>((string)item.Key!, item.Value)),
        ];
        return template.Render(variables, prompt);
    }

    private sealed class FixedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.Parse(s_golden.GetProperty("date").GetString() + " 12:00 +00:00");
    }
}
