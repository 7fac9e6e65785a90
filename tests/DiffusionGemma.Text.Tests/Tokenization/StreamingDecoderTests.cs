using System.Text;
using CsCheck;

namespace DiffusionGemma.Tests.Tokenization;

public sealed class StreamingDecoderTests
{
    private static readonly DiffusionGemmaTokenizer s_tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    private static readonly int[] s_bytes = [.. Encoding.UTF8.GetBytes("🙂é日").Select(value => s_tokenizer.IdOf($"<0x{value:X2}>")!.Value)];

    /// <summary>Any ids, and above all byte tokens: whole characters, parts of them and nonsense.</summary>
    private static readonly Gen<int[]> s_ids = Gen.OneOf(
        Gen.Int[-2, 2100].Array[0, 40],
        Gen.Int[0, 255].Select(value => s_tokenizer.IdOf($"<0x{value:X2}>")!.Value).Array[0, 8],
        Gen.Int[0, s_bytes.Length].Select(count => s_bytes[..count]),
        Gen.Const((int[])[.. s_bytes, 106, .. s_bytes]));

    [Fact]
    public void AllPiecesTogetherAreWhatDecodeGives() => Gen.Select(s_ids.Array[0, 6], Gen.Bool).Sample((parts, skips) =>
    {
        int[] ids = [.. parts.SelectMany(part => part)];
        StreamingDecoder one = new(s_tokenizer, skips), many = new(s_tokenizer, skips);
        string[] pieces = [.. ids.Select(one.Append), one.Flush()];
        Assert.Equal(s_tokenizer.Decode(ids, skips), string.Concat(pieces));
        Assert.Equal(s_tokenizer.Decode(ids, skips), string.Concat(parts.Select(many.Append)) + many.Flush());
        Assert.All(pieces, piece => Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
    }, iter: 5000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void ACharacterComesWholeOnceItsBytesAreSureToBeValid()
    {
        StreamingDecoder decoder = new(s_tokenizer);
        foreach (int id in s_bytes)
            Assert.Equal("", decoder.Append(id));
        Assert.Equal("🙂é日" + s_tokenizer.TokenOf(107), decoder.Append(107));
        Assert.Equal("", decoder.Append(s_bytes[0]));
        Assert.Equal("\uFFFD", decoder.Flush());
        Assert.Equal("", decoder.Flush());
        Assert.Equal("\n", decoder.Append(107));
    }

    [Fact]
    public void SpecialTokensMayBeLeftOut()
    {
        int[] ids = [.. s_tokenizer.EncodeToIds("a<turn|>b")];
        Assert.Equal("ab", new StreamingDecoder(s_tokenizer, skipSpecialTokens: true).Append(ids));
        Assert.Equal("a<turn|>b", new StreamingDecoder(s_tokenizer).Append(ids));
    }
}
