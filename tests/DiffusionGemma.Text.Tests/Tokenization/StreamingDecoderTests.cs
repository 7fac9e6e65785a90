using System.Text;
using CsCheck;

namespace DiffusionGemma;

public sealed class StreamingDecoderTests
{
    private static readonly DiffusionGemmaTokenizer Tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));

    private static readonly int[] Bytes = [.. Encoding.UTF8.GetBytes("🙂é日").Select(value => Tokenizer.IdOf($"<0x{value:X2}>")!.Value)];

    /// <summary>Any ids, and above all byte tokens: whole characters, parts of them and nonsense.</summary>
    private static readonly Gen<int[]> Ids = Gen.OneOf(
        Gen.Int[-2, 2100].Array[0, 40],
        Gen.Int[0, 255].Select(value => Tokenizer.IdOf($"<0x{value:X2}>")!.Value).Array[0, 8],
        Gen.Int[0, Bytes.Length].Select(count => Bytes[..count]),
        Gen.Const((int[])[.. Bytes, 106, .. Bytes]));

    [Fact]
    public void AllPiecesTogetherAreWhatDecodeGives() => Gen.Select(Ids.Array[0, 6], Gen.Bool).Sample((parts, skips) =>
    {
        int[] ids = [.. parts.SelectMany(part => part)];
        StreamingDecoder one = new(Tokenizer, skips), many = new(Tokenizer, skips);
        string[] pieces = [.. ids.Select(one.Append), one.Flush()];
        Assert.Equal(Tokenizer.Decode(ids, skips), string.Concat(pieces));
        Assert.Equal(Tokenizer.Decode(ids, skips), string.Concat(parts.Select(many.Append)) + many.Flush());
        Assert.All(pieces, piece => Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
    }, iter: 5000, seed: "0N0XIzNsQ0O2");

    [Fact]
    public void ACharacterComesWholeOnceItsBytesAreSureToBeValid()
    {
        StreamingDecoder decoder = new(Tokenizer);
        foreach (int id in Bytes)
            Assert.Equal("", decoder.Append(id));
        Assert.Equal("🙂é日" + Tokenizer.TokenOf(107), decoder.Append(107));
        Assert.Equal("", decoder.Append(Bytes[0]));
        Assert.Equal("\uFFFD", decoder.Flush());
        Assert.Equal("", decoder.Flush());
        Assert.Equal("\n", decoder.Append(107));
    }

    [Fact]
    public void SpecialTokensMayBeLeftOut()
    {
        int[] ids = [.. Tokenizer.EncodeToIds("a<turn|>b")];
        Assert.Equal("ab", new StreamingDecoder(Tokenizer, skipSpecialTokens: true).Append(ids));
        Assert.Equal("a<turn|>b", new StreamingDecoder(Tokenizer).Append(ids));
    }
}
