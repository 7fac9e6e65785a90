using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Contents that tokenizer.json may hold; all else is refused by name.</summary>
public sealed class TokenizerFileTests
{
    private static readonly string Source = File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json"));

    public static TheoryData<string, string, string> Refused => new()
    {
        { "surprise", "1", "surprise" },
        { "surprise", "true", "surprise" },
        { "surprise", """{"a": null}""", "surprise" },
        { "model.surprise", "[0]", "surprise" },
        { "version", "\"2.0\"", "2.0" },
        { "post_processor", """{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}""",
            "TemplateProcessing" },
        { "post_processor", """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}]}""",
            "TemplateProcessing" },
        { "post_processor", """{"type": "Sequence", "processors": [{"type": "Surprise"}]}""", "Surprise" },
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
        { "added_tokens.0.lstrip", "true", "lstrip" },
        { "added_tokens.0.rstrip", "true", "rstrip" },
        { "added_tokens.0.single_word", "true", "single_word" },
        { "added_tokens.0.content", "\"\"", "empty" },
        { "added_tokens.0.content", "\"<new>\"", "<new>" },
        { "added_tokens.0.id", "7", "<pad>" },
        { "added_tokens.0", """{"id": 0, "id": 1, "content": "<pad>", "special": true}""", "id" },
        { "truncation", """{"max_length": 4, "max_length": 5}""", "max_length" },
        { "normalizer", """{"type": "Replace", "pattern": {"String": " ", "String": " "}, "content": "▁"}""", "String" },
        { "decoder", """{"type": "Sequence", "decoders": [], "type": "Fuse"}""", "type" },
        { "model.dropout", "null, \"dropout\": null", "dropout" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhatWouldChangeTheResultIsRefusedByName(string path, string value, string named)
    {
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => Load(With(path, value)));
        Assert.Contains(named, error.Message);
        Assert.Contains("tokenizer.json", error.Message);
    }

    /// <summary>
    /// Settings as other tools save them, on which no id depends: path, value, and the notice that they come to ("" for none).
    /// </summary>
    public static TheoryData<string, string, string> Accepted => new()
    {
        { "truncation", """{"direction":"Right","max_length":64,"strategy":"LongestFirst","stride":0}""", "'truncation' is ignored" },
        { "truncation", """{"direction":"Left","max_length":1,"strategy":"OnlySecond","stride":0}""", "'truncation' is ignored" },
        { "truncation", "null", "" },
        { "padding", """
            {"strategy":{"Fixed":64},"direction":"Right","pad_to_multiple_of":8,"pad_id":0,"pad_type_id":0,"pad_token":"<pad>"}
            """, "'padding' is ignored" },
        { "padding", """{"strategy":"BatchLongest","direction":"Left","pad_id":0,"pad_type_id":0,"pad_token":"<pad>"}""",
            "'padding' is ignored" },
        { "post_processor", "null", "" },
        { "post_processor", """{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}""", "'ByteLevel' is ignored" },
        { "post_processor", """{"type": "RobertaProcessing", "sep": ["a", 1], "cls": ["b", 2], "trim_offsets": true}""",
            "'RobertaProcessing' is ignored" },
        { "post_processor", """{"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]}""", "'BertProcessing' is ignored" },
        { "post_processor", """
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}},
             {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [], "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}}
            """, "" },
        { "post_processor", """{"type": "Sequence", "processors": [{"type": "ByteLevel"}]}""", "'ByteLevel' is ignored" },
        { "normalizer", """
            {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
            """, "" },
        { "pre_tokenizer", """
            {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": false}]}
            """, "" },
        { "added_tokens.0.normalized", "true", "" },
        { "model.dropout", "0.0", "" },
        { "later", "null", "" },
        { "later", "false", "" },
        { "later", "{}", "" },
        { "model.later", "[]", "" },
        { "model.later", "\"\"", "" },
        { "model.unk_token", "null", "" },
    };

    [Theory]
    [MemberData(nameof(Accepted))]
    public void SettingsThatChangeNoIdAreAcceptedAndSaid(string path, string value, string notice)
    {
        DiffusionGemmaTokenizer tokenizer = Load(With(path, value)), plain = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        Assert.Empty(plain.Notices);
        if (notice.Length == 0) Assert.Empty(tokenizer.Notices);
        else Assert.Contains(notice, Assert.Single(tokenizer.Notices));
        foreach (string text in (string[])[
            "<bos>Natalia sold  clips <pad>to 48<turn|>\n", "日本 🙂 <pad><pad> x", string.Concat(Enumerable.Repeat("long ", 200))])
            Assert.Equal(plain.EncodeToIds(text), tokenizer.EncodeToIds(text));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AFileWithoutAddedTokensIsSaid(bool isEmpty)
    {
        JsonObject file = JsonNode.Parse(Source)!.AsObject();
        if (isEmpty) file["added_tokens"] = new JsonArray();
        else file.Remove("added_tokens");

        DiffusionGemmaTokenizer tokenizer = Load(file.ToJsonString());

        Assert.Contains("'added_tokens' is missing or empty", Assert.Single(tokenizer.Notices), StringComparison.Ordinal);
        Assert.NotEqual([2], tokenizer.EncodeToIds("<bos>"));
    }

    /// <summary>Tools save a token that a user added with 'normalized'; its ids are the reference's only where nothing overlaps.</summary>
    [Theory]
    [InlineData("<note>", null)]
    [InlineData("[NOTE]", null)]
    [InlineData("<my note>", "holds a space")]
    [InlineData("x▁y", "holds a space")]
    [InlineData("a<pad>", "may overlap with '<pad>'")]
    [InlineData("<pa", "may overlap with '<pad>'")]
    [InlineData("><", "may overlap")]
    public void ANormalizedTokenIsAcceptedWhereNothingOverlaps(string content, string? refused)
    {
        JsonNode file = JsonNode.Parse(Source)!;
        file["added_tokens"]!.AsArray().Add(new JsonObject
        {
            ["id"] = 2048, ["content"] = content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false,
            ["normalized"] = true, ["special"] = false,
        });
        if (refused is not null)
        {
            Assert.Contains(refused, Assert.Throws<InvalidDataException>(() => Load(file.ToJsonString())).Message);
            return;
        }
        IReadOnlyList<int> ids = Load(file.ToJsonString()).EncodeToIds($"a {content}b");
        Assert.Equal(1, ids.Count(id => id == 2048));
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

        File.WriteAllText(folder.File("tokenizer_config.json"), """{"eos_token": 5, "eos_token": "<pad>", "eos_token": "<eos>"}""");
        Assert.Equal(1, DiffusionGemmaTokenizer.Load(folder.Path).EosId);

        File.WriteAllText(folder.File("tokenizer_config.json"), """{"bos_token": 5}""");
        Assert.Contains("bos_token", Assert.Throws<InvalidDataException>(() => DiffusionGemmaTokenizer.Load(folder.Path)).Message);
        Assert.Throws<FileNotFoundException>(() => DiffusionGemmaTokenizer.Load(Path.Combine(folder.Path, "nowhere")));
    }

    /// <summary>The file with another value at a path, as text: a value may hold a property twice.</summary>
    private static string With(string path, string value)
    {
        const string Placeholder = "\"(value)\"";
        JsonNode file = JsonNode.Parse(Source)!;
        string[] steps = path.Split('.');
        JsonNode at = steps[..^1].Aggregate(file, (node, step) => int.TryParse(step, out int place) ? node[place]! : node[step]!);
        if (int.TryParse(steps[^1], out int last)) at[last] = "(value)";
        else at[steps[^1]] = "(value)";
        return file.ToJsonString().Replace(Placeholder, value, StringComparison.Ordinal);
    }

    private static DiffusionGemmaTokenizer Load(string json)
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("tokenizer.json"), json);
        return DiffusionGemmaTokenizer.Load(folder.Path);
    }
}
