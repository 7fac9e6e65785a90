using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Tests.Tokenization;

/// <summary>tiny-chat's tokenizer against the official tokenizers core, id for id.</summary>
public sealed class GoldenTokenizerTests
{
    private static readonly DiffusionGemmaTokenizer s_tokenizer = DiffusionGemmaTokenizer.Load(Fixtures.Checkpoint("tiny-chat"));
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("text", "golden_tiny_chat.json"))).RootElement;

    [Fact]
    public void EveryTextHasTheReferencesIdsAndOffsets()
    {
        int count = 0;
        foreach (JsonElement item in s_golden.GetProperty("items").EnumerateArray())
        {
            string text = item.GetProperty("text").GetString()!;
            int[] expected = Ints(item.GetProperty("ids"));
            Assert.Equal(expected, s_tokenizer.EncodeToIds(text));
            Assert.Equal(expected.Length, s_tokenizer.CountTokens(text));

            IReadOnlyList<EncodedToken> tokens = s_tokenizer.EncodeToTokens(text, out _);
            Assert.Equal(expected, tokens.Select(token => token.Id));
            int[] units = UnitsOfCodePoints(text);
            Assert.Equal(Ints(item.GetProperty("offsets")).Select(place => units[place]), tokens.SelectMany(token => (int[])[token.Offset.Start.Value, token.Offset.End.Value]));
            Assert.All(tokens, token => Assert.Equal(s_tokenizer.TokenOf(token.Id), token.Value));
            count++;
        }
        Assert.Equal(330, count);
    }

    [Theory]
    [InlineData("items")]
    [InlineData("decode_only")]
    public void IdsDecodeToTheReferencesText(string group)
    {
        foreach (JsonElement item in s_golden.GetProperty(group).EnumerateArray())
        {
            int[] ids = Ints(item.GetProperty("ids"));
            Assert.Equal(item.GetProperty("decoded").GetString(), s_tokenizer.Decode(ids));
            Assert.Equal(item.GetProperty("decoded_skip_special").GetString(), s_tokenizer.Decode(ids, skipSpecialTokens: true));
        }
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];

    /// <summary>For each place in code points, the place in UTF-16 units.</summary>
    private static int[] UnitsOfCodePoints(string text)
    {
        List<int> units = [0];
        foreach (Rune rune in text.EnumerateRunes())
            units.Add(units[^1] + rune.Utf16SequenceLength);
        return [.. units];
    }
}
