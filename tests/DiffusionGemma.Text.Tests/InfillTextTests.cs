namespace DiffusionGemma.Tests;

public sealed class InfillTextTests
{
    private static readonly DiffusionGemmaTokenizer s_tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    [Fact]
    public void WhatIsGivenIsPinnedAroundTheGaps()
    {
        InfillText infill = InfillText.Parse("8 plus <gap:3> is<gap:2>.", s_tokenizer);
        int[] before = [.. s_tokenizer.EncodeToIds("8 plus ")], between = [.. s_tokenizer.EncodeToIds(" is")], after = [.. s_tokenizer.EncodeToIds(".")];
        Assert.Equal(before.Length + 3 + between.Length + 2 + after.Length, infill.Length);
        int[] expected = [.. before, .. Enumerable.Repeat(-1, 3), .. between, -1, -1, .. after];
        Assert.Equal(expected, Enumerable.Range(0, infill.Length).Select(i => infill.Pinned.GetValueOrDefault(i, -1)));
        Assert.False(infill.EndsOpen);
    }

    [Theory]
    [InlineData("<gap:4>", 4, true)]
    [InlineData("<gap:1><gap:2>", 3, true)]
    [InlineData("8<gap:65536>", 65537, true)]
    public void GapsMayStandAnywhere(string text, int length, bool open)
    {
        InfillText infill = InfillText.Parse(text, s_tokenizer);
        Assert.Equal((length, open), (infill.Length, infill.EndsOpen));
    }

    [Theory]
    [InlineData("a <gap:0> b", "'<gap:0>' at character 2")]
    [InlineData("<gap:-1>", "'<gap:-1>' at character 0")]
    [InlineData("<gap:x>", "'<gap:x>'")]
    [InlineData("a<gap:65537>", "'<gap:65537>' at character 1")]
    [InlineData("<gap:3", "'<gap:3'")]
    [InlineData("<gap: 3>", "'<gap: 3>'")]
    [InlineData("", "empty")]
    public void MalformedGapsAreNamed(string text, string named)
    {
        if (text == "<gap:3") text += " and so on, without an end";
        Assert.Contains(named[..^1], Assert.Throws<ChatException>(() => InfillText.Parse(text, s_tokenizer)).Message, StringComparison.Ordinal);
    }
}
