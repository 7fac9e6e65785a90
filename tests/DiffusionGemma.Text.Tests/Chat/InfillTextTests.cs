namespace DiffusionGemma;

public sealed class InfillTextTests
{
    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Fact]
    public void WhatIsGivenIsPinnedAroundTheGaps()
    {
        InfillText infill = InfillText.Parse("8 plus <gap:3> is<gap:2>.", Tokenizer);
        int[] before = [.. Tokenizer.EncodeToIds("8 plus ")], between = [.. Tokenizer.EncodeToIds(" is")],
            after = [.. Tokenizer.EncodeToIds(".")];
        Assert.Equal(before.Length + 3 + between.Length + 2 + after.Length, infill.Length);
        int[] expected = [.. before, .. Enumerable.Repeat(-1, 3), .. between, -1, -1, .. after];
        Assert.Equal(expected, Enumerable.Range(0, infill.Length).Select(i => infill.Pinned.GetValueOrDefault(i, -1)));
        Assert.False(infill.EndsOpen);
        Assert.Equal([(before.Length, 3), (before.Length + 3 + between.Length, 2)], infill.Gaps);
    }

    [Theory]
    [InlineData("<gap:4>", 4, true)]
    [InlineData("<gap:1><gap:2>", 3, true)]
    [InlineData("8<gap:65536>", 65537, true)]
    public void GapsMayStandAnywhere(string text, int length, bool open)
    {
        InfillText infill = InfillText.Parse(text, Tokenizer);
        Assert.Equal((length, open), (infill.Length, infill.EndsOpen));
    }

    [Theory]
    [InlineData("a <gap:0> b", "'<gap:0>' at character 2")]
    [InlineData("<gap:-1>", "'<gap:-1>' at character 0")]
    [InlineData("<gap:x>", "'<gap:x>'")]
    [InlineData("a<gap:65537>", "'<gap:65537>' at character 1")]
    [InlineData("<gap:3", "'<gap:3' at character 0")]
    [InlineData("a<gap:3 and so on, without an end", "'<gap:3 and so on, withou' at character 1")]
    [InlineData("<gap:3<gap:4>", "'<gap:3' at character 0")]
    [InlineData("a <gap> b", "'<gap>' at character 2")]
    [InlineData("a <gap 3>", "'<gap 3>' at character 2")]
    [InlineData("a <gap", "'<gap' at character 2")]
    [InlineData("<gap: 3>", "'<gap: 3>'")]
    [InlineData("<gap:٣>", "'<gap:٣>'")]
    [InlineData("<gap:99999999999999999999>", "'<gap:99999999999999999999>'")]
    [InlineData("", "empty")]
    public void MalformedGapsAreNamed(string text, string named)
    {
        Assert.Contains(named, Assert.Throws<ChatException>(() => InfillText.Parse(text, Tokenizer)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a <gapminder> b")]
    [InlineData("a < gap:3> b")]
    [InlineData("a <Gap:3> b")]
    public void OtherTextIsText(string text)
    {
        InfillText infill = InfillText.Parse(text, Tokenizer);
        Assert.Empty(infill.Gaps);
        Assert.Equal(Tokenizer.EncodeToIds(text), Enumerable.Range(0, infill.Length).Select(i => infill.Pinned[i]));
    }

    [Fact]
    public void TheTemplateSaysHowAnAnswerEnds()
    {
        ChatTokenizer chat = ChatTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        Assert.Equal("<turn|>\n", chat.Tokenizer.Decode(chat.EncodeAnswerEnd(ChatConversation.Of(("user", "What is 8 plus 7?")))));
    }
}
