using System.Globalization;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>
/// Goldens made while the test runs, of texts and conversations that are checked in nowhere: where the official cores are installed.
/// DIFFUSIONGEMMA_SEED draws others.
/// </summary>
public sealed class FreshGoldenTests
{
    private const string TemplatesVariable = "DIFFUSIONGEMMA_TEMPLATES";

    private static readonly int Seed =
        int.Parse(Environment.GetEnvironmentVariable("DIFFUSIONGEMMA_SEED") ?? "1", CultureInfo.InvariantCulture);

    [Fact]
    public void TinyChatsTokenizer() => CheckTokenizer(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json"));

    [Fact]
    public void TheReleasedVocabulary()
    {
        (string? path, string reason) = Gemma4Like.Find();
        Assert.SkipWhen(path is null, reason);
        CheckTokenizer(path);
    }

    [Fact]
    public void OurTemplates() =>
        CheckTemplates(JinjaReference.Templates, ReferenceProgram.JinjaGoldens("--seed", $"{Seed}", "--rows", "500"));

    /// <summary>Any templates at all: those of released models, say.</summary>
    [Fact]
    public void TemplatesOfAFolder()
    {
        string? folder = Environment.GetEnvironmentVariable(TemplatesVariable);
        Assert.SkipWhen(string.IsNullOrEmpty(folder), $"{TemplatesVariable} names no folder of *.jinja files");
        string[] lines = ReferenceProgram.JinjaGoldens("--seed", $"{Seed}", "--rows", "300", "--templates", folder);
        CheckTemplates(JinjaReference.ReadTemplates(folder), lines);
    }

    private static void CheckTokenizer(string path)
    {
        using JsonDocument goldens = JsonDocument.Parse(ReferenceProgram.TokenizerGoldens(path, Seed, 3000));
        new TokenizerGoldens(goldens.RootElement).Check(DiffusionGemmaTokenizer.Load(path));
    }

    private static void CheckTemplates(IReadOnlyDictionary<string, ChatTemplate> templates, string[] lines)
    {
        Assert.NotEmpty(templates);
        foreach (string line in lines)
        {
            using JsonDocument golden = JsonDocument.Parse(line);
            JsonElement row = golden.RootElement.GetProperty("row");
            foreach (JsonProperty result in golden.RootElement.GetProperty("results").EnumerateObject())
            {
                string ours = JinjaReference.Describe(templates[result.Name], row, row.GetProperty("add_generation_prompt").GetBoolean());
                if (ours != result.Value.GetString())
                    Assert.Fail($"{result.Name} over {row}\njinja2: {result.Value.GetString()}\nours:   {ours}");
            }
        }
    }
}
