using System.Text;
using System.Text.Json.Nodes;
using CsCheck;

namespace DiffusionGemma;

public sealed class VocabularyBytesTests
{
    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Theory]
    [InlineData("<0x0A>", "0A")]
    [InlineData("<0xE2>", "E2")]
    [InlineData("<turn|>", "")]
    [InlineData("<eos>", "")]
    [InlineData("\n", "0A")]
    public void ATokenHasTheBytesOfItsText(string token, string bytes) =>
        Assert.Equal(bytes, Convert.ToHexString(Tokenizer.VocabularyBytes[Tokenizer.IdOf(token)!.Value].Span));

    [Fact]
    public void TheSpaceMarkIsASpace()
    {
        int[] marked = [.. Enumerable.Range(0, Tokenizer.VocabularySize).Where(id => Tokenizer.TokenOf(id)?.Contains('▁') == true)];
        Assert.NotEmpty(marked);
        Assert.All(marked, id => Assert.Equal(
            Tokenizer.TokenOf(id)!.Replace('▁', ' '), Encoding.UTF8.GetString(Tokenizer.VocabularyBytes[id].Span)));
    }

    /// <summary>Texts of any characters: the bytes of their ids, one after the other, are the text's.</summary>
    [Fact]
    public void TheBytesOfATextsIdsAreItsBytes() => Gen.Int[1, 0x10FFFF].Where(value => value is (< 0xD800 or > 0xDFFF) and not 0x2581)
        .Select(value => new Rune(value).ToString()).Array[0, 20].Select(string.Concat).Sample(text =>
        {
            byte[] bytes = [.. Tokenizer.EncodeToIds("a " + text).SelectMany(id => Tokenizer.VocabularyBytes[id].ToArray())];
            Assert.Equal("a " + text, Encoding.UTF8.GetString(bytes));
        }, iter: 1000, seed: "0N0XIzNsQ0O2");

    /// <summary>Every id alone decodes to its bytes, for all ids that are whole characters.</summary>
    [Fact]
    public void EveryIdDecodesToItsBytes()
    {
        Assert.Equal(Tokenizer.VocabularySize, Tokenizer.VocabularyBytes.Count);
        int id = 0;
        foreach (ReadOnlyMemory<byte> bytes in Tokenizer.VocabularyBytes)
        {
            string text = Tokenizer.Decode([id++], skipSpecialTokens: true);
            if (!text.Contains('\uFFFD')) Assert.Equal(text, Encoding.UTF8.GetString(bytes.Span));
            else Assert.Equal(1, bytes.Length);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.VocabularyBytes[id]);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.VocabularyBytes[-1]);
    }

    /// <summary>A gap in the ids has no token, and so no bytes; an added token that is not special has those of its text.</summary>
    [Fact]
    public void AddedTokensCountByWhetherTheyAreSpecial()
    {
        JsonNode file = JsonNode.Parse(File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json")))!;
        JsonArray added = file["added_tokens"]!.AsArray();
        foreach (bool isSpecial in (bool[])[true, false])
            added.Add(new JsonObject
            {
                ["id"] = Tokenizer.VocabularySize + (isSpecial ? 0 : 1), ["content"] = $"<new {isSpecial}>", ["special"] = isSpecial,
                ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false,
            });
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("tokenizer.json"), file.ToJsonString());
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(folder.Path);
        Assert.Equal(0, tokenizer.VocabularyBytes[Tokenizer.VocabularySize].Length);
        Assert.Equal("<new False>"u8.ToArray(), tokenizer.VocabularyBytes[Tokenizer.VocabularySize + 1].ToArray());
    }
}
