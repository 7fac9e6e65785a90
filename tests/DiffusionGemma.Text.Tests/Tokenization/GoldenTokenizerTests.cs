namespace DiffusionGemma;

/// <summary>
/// Against the official tokenizers core, id for id: tiny-chat's tokenizer, and the released vocabulary where it can be had.
/// </summary>
public sealed class GoldenTokenizerTests
{
    [Fact]
    public void TinyChatIsExact()
    {
        TokenizerGoldens goldens = TokenizerGoldens.Read("golden_tiny_chat.json");
        Assert.Equal(330, goldens.Count);
        goldens.Check(DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat")));
    }

    [Fact]
    public void TheReleasedVocabularyIsExact()
    {
        TokenizerGoldens goldens = TokenizerGoldens.Read("golden_gemma4like.json");
        Assert.Equal(531, goldens.Count);
        (string? path, string reason) = Gemma4Like.Find();
        Assert.SkipWhen(path is null, reason);
        DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(path);
        Assert.Equal(262_144, tokenizer.VocabularySize);
        goldens.Check(tokenizer);
    }
}
