using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>The work of goldens/make_goldens.py, done by this library: the same variables, clock and way of writing results down.</summary>
internal static class JinjaReference
{
    public static TimeProvider Clock { get; } = new FixedClock();

    /// <summary>The files of goldens/templates by name.</summary>
    public static IReadOnlyDictionary<string, ChatTemplate> Templates { get; } = ReadTemplates(TestFiles.Path("goldens", "templates"));

    /// <summary>All *.jinja files below a folder, by their path in it.</summary>
    public static IReadOnlyDictionary<string, ChatTemplate> ReadTemplates(string folder) =>
        Directory.GetFiles(folder, "*.jinja", SearchOption.AllDirectories).ToDictionary(
            path => Path.GetRelativePath(folder, path).Replace('\\', '/')[..^".jinja".Length], path =>
                ChatTemplate.Parse(File.ReadAllText(path), Clock));

    /// <summary>Straight to the variables: the goldens hold rows too that a conversation's rules would refuse.</summary>
    public static RenderedChat Render(ChatTemplate template, JsonElement row, bool addGenerationPrompt) => template.Render(
        [
            new("tools", null), new("documents", null), new("bos_token", "<bos>"), new("eos_token", "<eos>"), new("pad_token", "<pad>"),
            new("unk_token", "<unk>"),
            .. JsonValues.ReadObject(row).Select(item => new KeyValuePair<string, object?>((string)item.Key!, item.Value)),
        ],
        addGenerationPrompt);

    /// <summary>One line: what kind of end it took, the text or the template's own words, and the spans.</summary>
    public static string Describe(ChatTemplate template, JsonElement row, bool addGenerationPrompt)
    {
        try
        {
            RenderedChat chat = Render(template, row, addGenerationPrompt);
            return $"\0{chat.Text}\0{string.Join(';', chat.GeneratedSpans.Select(span => $"{span.Start},{span.End}"))}";
        }
        catch (ChatException exception)
        {
            return exception.TemplateWords is { } words ? $"raise\0{words}\0" : "error\0\0";
        }
    }

    /// <summary>The first digits of the hash that the script writes.</summary>
    public static string Fingerprint(IEnumerable<string> results) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\x1', results))))[..16];

    private sealed class FixedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2026, 6, 10, 12, 0, 0, TimeSpan.Zero);
    }
}
