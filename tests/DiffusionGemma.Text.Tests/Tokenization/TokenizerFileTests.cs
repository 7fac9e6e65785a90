using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>What tokenizer.json may hold, and that all else is refused by name.</summary>
public sealed class TokenizerFileTests
{
    private static readonly string Source = File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json"));

    public static TheoryData<string, string, string> Refused => new()
    {
        { "truncation", """{"max_length": 4}""", "truncation" },
        { "padding", """{"strategy": "BatchLongest"}""", "padding" },
        { "surprise", "1", "surprise" },
        { "version", "\"2.0\"", "2.0" },
        { "post_processor", """{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}""", "ByteLevel" },
        { "post_processor", """{"type": "RobertaProcessing", "sep": ["a", 1], "cls": ["b", 2], "trim_offsets": true}""",
            "RobertaProcessing" },
        { "post_processor", """{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}""",
            "TemplateProcessing" },
        { "post_processor", """{"type": "Sequence", "processors": []}""", "Sequence" },
        { "normalizer", """{"type": "Replace", "pattern": {"Regex": " "}, "content": "▁"}""", "Regex" },
        { "normalizer", """{"type": "Prepend", "prepend": "▁"}""", "Prepend" },
        { "pre_tokenizer", """{"type": "Metaspace", "replacement": "▁"}""", "Metaspace" },
        { "pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated", "invert": false}""", "Regex" },
        { "decoder", """
            {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
             {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
            """, "Strip" },
        { "normalizer", """{"type": "NFC"}""", "NFC" },
        { "normalizer", """{"type": "Sequence", "normalizers": []}""", "Sequence" },
        { "pre_tokenizer", """{"type": "ByteLevel"}""", "ByteLevel" },
        { "pre_tokenizer", """{"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": true}""", "invert" },
        { "normalizer", "null", "pre_tokenizer" },
        { "decoder", "null", "decoder" },
        { "decoder", """{"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}""", "decoder" },
        { "model.type", "\"Unigram\"", "Unigram" },
        { "model.dropout", "0.1", "dropout" },
        { "model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix" },
        { "model.end_of_word_suffix", "\"</w>\"", "end_of_word_suffix" },
        { "model.ignore_merges", "true", "ignore_merges" },
        { "model.byte_fallback", "false", "byte_fallback" },
        { "model.surprise", "1", "surprise" },
        { "model.vocab.<0x0A>", "null", "not a valid tokenizer file" },
        { "model.vocab.<eos>", "-1", "<eos>" },
        { "model.vocab.<eos>", "0", "id 0 stands twice" },
        { "model.vocab.<eos>", "99999999999", "<eos>" },
        { "model.merges", """[["a", "nosuch"]]""", "nosuch" },
        { "model.merges", """["a b c"]""", "merge 0" },
        { "model.merges", """[["a"]]""", "merge 0" },
        { "model.merges", """[["a", 1]]""", "merge 0" },
        { "model.merges", "{}", "merges" },
        { "model.merges", """[["<0x41>", "a"]]""", "merge 0" },
        { "added_tokens.0.normalized", "true", "normalized" },
        { "added_tokens.0.lstrip", "true", "lstrip" },
        { "added_tokens.0.rstrip", "true", "rstrip" },
        { "added_tokens.0.single_word", "true", "single_word" },
        { "added_tokens.0.content", "\"\"", "empty" },
        { "added_tokens.0.content", "\"<new>\"", "<new>" },
        { "added_tokens.0.id", "7", "<pad>" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhatWouldChangeTheResultIsRefusedByName(string path, string value, string named)
    {
        JsonNode file = JsonNode.Parse(Source)!;
        string[] steps = path.Split('.');
        JsonNode at = steps[..^1].Aggregate(file, (node, step) => int.TryParse(step, out int place) ? node[place]! : node[step]!);
        at[steps[^1]] = JsonNode.Parse(value);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => Load(file.ToJsonString()));
        Assert.Contains(named, error.Message);
        Assert.Contains("tokenizer.json", error.Message);
    }

    [Fact]
    public void MissingBytesAreNamed()
    {
        JsonNode file = JsonNode.Parse(Source)!;
        file["model"]!["vocab"]!.AsObject().Remove("<0x0A>");
        Assert.Contains("<0x0A>", Assert.Throws<InvalidDataException>(() => Load(file.ToJsonString())).Message);
    }

    /// <summary>A JSON reader takes the last of two in silence; the reference refuses the file.</summary>
    [Theory]
    [InlineData("{", "{\"normalizer\": null,", "normalizer")]
    [InlineData("\"model\":{", "\"model\":{\"byte_fallback\":true,", "model.byte_fallback")]
    public void APropertyThatStandsTwiceIsRefused(string at, string twice, string named)
    {
        string json = JsonNode.Parse(Source)!.ToJsonString();
        int place = json.IndexOf(at, StringComparison.Ordinal);
        Assert.Contains($"'{named}' stands twice",
            Assert.Throws<InvalidDataException>(() => Load(json[..place] + twice + json[(place + at.Length)..])).Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"model\": 1}")]
    [InlineData("{\"model\": {\"type\": \"BPE\", \"byte_fallback\": true}}")]
    [InlineData("{\"version\": \"\\ud800\"}")]
    public void WhatIsNoTokenizerFileIsRefused(string json) => Assert.Throws<InvalidDataException>(() => Load(json));

    [Fact]
    public void OlderSpellingsOfMergesReadTheSame()
    {
        JsonNode file = JsonNode.Parse(Source)!;
        JsonArray merges = file["model"]!["merges"]!.AsArray();
        file["model"]!["merges"] = new JsonArray([.. merges.Select(pair => (JsonNode)$"{pair![0]} {pair[1]}")]);
        DiffusionGemmaTokenizer older = Load('\uFEFF' + file.ToJsonString());
        string text = "Natalia sold clips to 48 of her friends in April, 日本 🙂\n\n";
        Assert.Equal(DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat")).EncodeToIds(text), older.EncodeToIds(text));
    }

    [Fact]
    public void NamedTokensComeFromTheConfigInEitherForm()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("tokenizer.json"), Source);
        Assert.Null(DiffusionGemmaTokenizer.Load(folder.File("tokenizer.json")).EosId);
        File.WriteAllText(folder.File("tokenizer_config.json"),
            """{"bos_token": {"content": "<bos>", "lstrip": false}, "eos_token": "<eos>", "pad_token": null, "add_bos_token": true}""");
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(folder.Path);
        Assert.Equal((2, 1, null, null), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId, tokenizer.UnknownId));

        File.WriteAllText(folder.File("tokenizer_config.json"), """{"bos_token": 5}""");
        Assert.Contains("bos_token", Assert.Throws<InvalidDataException>(() => DiffusionGemmaTokenizer.Load(folder.Path)).Message);
        Assert.Throws<FileNotFoundException>(() => DiffusionGemmaTokenizer.Load(Path.Combine(folder.Path, "nowhere")));
    }

    private static DiffusionGemmaTokenizer Load(string json)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("tokenizer.json"), json);
        return DiffusionGemmaTokenizer.Load(folder.Path);
    }
}
