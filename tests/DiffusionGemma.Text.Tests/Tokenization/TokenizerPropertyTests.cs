using System.Buffers;
using System.Diagnostics;
using System.Text;
using CsCheck;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Tests.Tokenization;

[Collection(Alone.Name)]
public sealed class TokenizerPropertyTests
{
    private static readonly DiffusionGemmaTokenizer s_tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    private static readonly string[] s_pieces = ["the ", "  ", "\n\n", "<turn|>", "<eos>", "日本", "🙂", "é", "x", "\u0301", "\0", "▂"];

    // Runs of few characters make long merges; any character at all makes byte tokens.
    private static readonly Gen<string> s_text = Gen.OneOf(
        Gen.String[Gen.Char["abcdehinorst \n"], 0, 200],
        Gen.Int[0, s_pieces.Length - 1].Select(place => s_pieces[place]).Array[0, 40].Select(string.Concat),
        Gen.Int[1, 0x10FFFF].Where(value => value is (< 0xD800 or > 0xDFFF) and not 0x2581).Select(value => new Rune(value).ToString()).Array[0, 40].Select(string.Concat));

    [Fact]
    public void TextComesBack() => s_text.Sample(text => s_tokenizer.Decode(s_tokenizer.EncodeToIds(text)) == text, iter: 3000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void OffsetsCoverTheTextInOrderAndAllWaysOfEncodingAgree() => s_text.Sample(text =>
    {
        IReadOnlyList<EncodedToken> tokens = s_tokenizer.EncodeToTokens(text, out _);
        Assert.Equal(s_tokenizer.EncodeToIds(text), tokens.Select(token => token.Id));
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
    public void ACutNeverSplitsACharacterAndTheRestFollows() => Gen.Select(s_text, Gen.Int[0, 30]).Sample((text, most) =>
    {
        IReadOnlyList<int> ids = s_tokenizer.EncodeToIds(text, most, out _, out int consumed);
        Assert.True(ids.Count <= most);
        Assert.Equal(text[..consumed], s_tokenizer.Decode(ids));
        int index = s_tokenizer.GetIndexByTokenCount(text, most, out _, out int count);
        Assert.Equal((consumed, ids.Count), (index, count));
        int fromEnd = s_tokenizer.GetIndexByTokenCountFromEnd(text, most, out _, out int countFromEnd);
        IReadOnlyList<int> all = s_tokenizer.EncodeToIds(text);
        Assert.Equal(text[fromEnd..], s_tokenizer.Decode(all.Skip(all.Count - countFromEnd)));
    }, iter: 2000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void HalfASurrogatePairIsEncodedAsTheReplacementCharacter() =>
        Assert.Equal(s_tokenizer.EncodeToIds("a\uFFFDb\uFFFD"), s_tokenizer.EncodeToIds("a\uD83Db\uDE42"));

    [Fact]
    public void ALiteralSpaceMarkDecodesToASpace() => Assert.Equal("a b", s_tokenizer.Decode(s_tokenizer.EncodeToIds("a▁b")));

    [Fact]
    public void SpecialTokensInsideTextBecomeControlTokens()
    {
        Assert.Equal([s_tokenizer.IdOf("<turn|>")!.Value], s_tokenizer.EncodeToIds("<turn|>"));
        Assert.True(s_tokenizer.IsSpecial(106));
        Assert.False(s_tokenizer.IsSpecial(107));
        Assert.False(s_tokenizer.IsSpecial(-1));
        Assert.Equal("ab", s_tokenizer.Decode([.. s_tokenizer.EncodeToIds("a<turn|>b")], skipSpecialTokens: true));
        Assert.Equal((0, 1, 2, 3, 2048), (s_tokenizer.PadId, s_tokenizer.EosId, s_tokenizer.BosId, s_tokenizer.UnknownId, s_tokenizer.VocabularySize));
        Assert.Null(s_tokenizer.TokenOf(2048));
        Assert.Null(s_tokenizer.IdOf("no such token"));
    }

    [Fact]
    public void DecodingIntoASpanIsAllOrNothing()
    {
        IReadOnlyList<int> ids = s_tokenizer.EncodeToIds("héllo 🙂");
        char[] target = new char[32];
        Assert.Equal(OperationStatus.DestinationTooSmall, s_tokenizer.Decode(ids, target.AsSpan(0, 3), out int consumed, out int written));
        Assert.Equal((0, 0), (consumed, written));
        Assert.Equal(OperationStatus.Done, s_tokenizer.Decode(ids, target, out consumed, out written));
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
            s_tokenizer.CountTokens(small);
            double once = Best(() => s_tokenizer.CountTokens(small));
            double tenTimes = Best(() => s_tokenizer.CountTokens(large));
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
        int[][] expected = [.. texts.Select(text => s_tokenizer.EncodeToTokens(text, out _).Select(token => token.Id).ToArray())];
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < texts.Length; i++)
                Assert.Equal(expected[i], shared.EncodeToIds(texts[i]));
        });
    }
}
