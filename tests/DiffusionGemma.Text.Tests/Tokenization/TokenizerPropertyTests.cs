using System.Buffers;
using System.Diagnostics;
using System.Text;
using CsCheck;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma;

[Collection(Alone.Name)]
public sealed class TokenizerPropertyTests
{
    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    private static readonly string[] Pieces = ["the ", "  ", "\n\n", "<turn|>", "<eos>", "日本", "🙂", "é", "x", "\u0301", "\0", "▂"];

    // Runs of few characters make long merges; any character at all makes byte tokens.
    private static readonly Gen<string> Text = Gen.OneOf(
        Gen.String[Gen.Char["abcdehinorst \n"], 0, 200],
        Gen.Int[0, Pieces.Length - 1].Select(place => Pieces[place]).Array[0, 40].Select(string.Concat),
        Gen.Int[1, 0x10FFFF].Where(value => value is (< 0xD800 or > 0xDFFF) and not 0x2581)
            .Select(value => new Rune(value).ToString()).Array[0, 40].Select(string.Concat));

    [Fact]
    public void TextComesBack() =>
        Text.Sample(text => Tokenizer.Decode(Tokenizer.EncodeToIds(text)) == text, iter: 3000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void OffsetsCoverTheTextInOrderAndAllWaysOfEncodingAgree() => Text.Sample(text =>
    {
        IReadOnlyList<EncodedToken> tokens = Tokenizer.EncodeToTokens(text, out _);
        Assert.Equal(Tokenizer.EncodeToIds(text), tokens.Select(token => token.Id));
        int covered = 0;
        foreach (EncodedToken token in tokens)
        {
            Assert.InRange(token.Offset.Start.Value, 0, covered);
            Assert.True(token.Offset.End.Value > token.Offset.Start.Value);
            covered = Math.Max(covered, token.Offset.End.Value);
        }
        Assert.Equal(text.Length, covered);
    }, iter: 2000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void ACutNeverSplitsACharacterAndTheRestFollows() => Gen.Select(Text, Gen.Int[0, 30]).Sample((text, most) =>
    {
        IReadOnlyList<int> ids = Tokenizer.EncodeToIds(text, most, out _, out int consumed);
        Assert.True(ids.Count <= most);
        Assert.Equal(text[..consumed], Tokenizer.Decode(ids));
        int index = Tokenizer.GetIndexByTokenCount(text, most, out _, out int count);
        Assert.Equal((consumed, ids.Count), (index, count));
        int fromEnd = Tokenizer.GetIndexByTokenCountFromEnd(text, most, out _, out int countFromEnd);
        IReadOnlyList<int> all = Tokenizer.EncodeToIds(text);
        Assert.Equal(text[fromEnd..], Tokenizer.Decode(all.Skip(all.Count - countFromEnd)));
    }, iter: 2000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void HalfASurrogatePairIsEncodedAsTheReplacementCharacter() =>
        Assert.Equal(Tokenizer.EncodeToIds("a\uFFFDb\uFFFD"), Tokenizer.EncodeToIds("a\uD83Db\uDE42"));

    [Fact]
    public void ALiteralSpaceMarkDecodesToASpace() => Assert.Equal("a b", Tokenizer.Decode(Tokenizer.EncodeToIds("a▁b")));

    [Fact]
    public void SpecialTokensInsideTextBecomeControlTokens()
    {
        Assert.Equal([Tokenizer.IdOf("<turn|>")!.Value], Tokenizer.EncodeToIds("<turn|>"));
        Assert.True(Tokenizer.IsSpecial(106));
        Assert.False(Tokenizer.IsSpecial(107));
        Assert.False(Tokenizer.IsSpecial(-1));
        Assert.Equal("ab", Tokenizer.Decode([.. Tokenizer.EncodeToIds("a<turn|>b")], skipSpecialTokens: true));
        Assert.Equal((0, 1, 2, 3, 2048),
            (Tokenizer.PadId, Tokenizer.EosId, Tokenizer.BosId, Tokenizer.UnknownId, Tokenizer.VocabularySize));
        Assert.Null(Tokenizer.TokenOf(2048));
        Assert.Null(Tokenizer.IdOf("no such token"));
    }

    [Fact]
    public void DecodingIntoASpanIsAllOrNothing()
    {
        IReadOnlyList<int> ids = Tokenizer.EncodeToIds("héllo 🙂");
        char[] target = new char[32];
        Assert.Equal(OperationStatus.DestinationTooSmall, Tokenizer.Decode(ids, target.AsSpan(0, 3), out int consumed, out int written));
        Assert.Equal((0, 0), (consumed, written));
        Assert.Equal(OperationStatus.Done, Tokenizer.Decode(ids, target, out consumed, out written));
        Assert.Equal(("héllo 🙂", ids.Count), (new string(target, 0, written), consumed));
    }

    /// <summary>
    /// One piece that can be cut nowhere and is all merges. Ten times the text may take ten times as long, give or take: a quadratic
    /// merge would take a hundred times.
    /// </summary>
    [Fact]
    public void TimeIsLinearInTheText()
    {
        string[] units = ["the", "in", "\n"];
        foreach (string unit in units)
        {
            string small = Repeat(unit, 10_000);
            string large = Repeat(unit, 100_000);
            Tokenizer.CountTokens(small);
            double once = Best(() => Tokenizer.CountTokens(small));
            double tenTimes = Best(() => Tokenizer.CountTokens(large));
            Assert.True(tenTimes < 40 * once + 0.2, $"{unit}: {once:F4} s, and {tenTimes:F4} s for ten times the text");
        }

        static string Repeat(string unit, int length) => string.Concat(Enumerable.Repeat(unit, length / unit.Length));

        static double Best(Action action) => Enumerable.Range(0, 3).Min(_ =>
        {
            long start = Stopwatch.GetTimestamp();
            action();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        });
    }

    [Fact]
    public void ManyThreadsGetTheSameIds()
    {
        string[] texts = [.. Enumerable.Range(0, 400).Select(i => $"Text number {i} of her friends, {i * 7919} clips and 日本 {i % 13} 🙂")];
        DiffusionGemmaTokenizer shared = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
        int[][] expected = [.. texts.Select(text => Tokenizer.EncodeToTokens(text, out _).Select(token => token.Id).ToArray())];
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < texts.Length; i++)
                Assert.Equal(expected[i], shared.EncodeToIds(texts[i]));
        });
    }
}
