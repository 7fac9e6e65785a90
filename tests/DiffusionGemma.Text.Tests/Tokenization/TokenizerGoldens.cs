using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma;

/// <summary>Results of the official tokenizers core for texts and ids, as tests/tools/tokenizer_goldens.mjs writes it.</summary>
internal sealed class TokenizerGoldens(JsonElement file)
{
    public static TokenizerGoldens Read(string name) => new(JsonDocument.Parse(Fixtures.Text("text", name)).RootElement);

    public int Count => file.GetProperty("items").GetArrayLength();

    /// <summary>Ids, offsets and decodings of every text, and decodings of ids that no text has.</summary>
    public void Check(DiffusionGemmaTokenizer tokenizer)
    {
        foreach (JsonElement item in file.GetProperty("items").EnumerateArray())
        {
            CheckEncoding(tokenizer, item);
            CheckDecoding(tokenizer, item);
        }
        foreach (JsonElement item in file.GetProperty("decode_only").EnumerateArray())
            CheckDecoding(tokenizer, item);
    }

    private static void CheckEncoding(DiffusionGemmaTokenizer tokenizer, JsonElement item)
    {
        string text = item.GetProperty("text").GetString()!;
        int[] expected = Ints(item.GetProperty("ids"));
        Assert.Equal(expected, tokenizer.EncodeToIds(text));
        Assert.Equal(expected.Length, tokenizer.CountTokens(text));

        // Twice: the second time from what the first has remembered.
        for (int round = 0; round < 2; round++)
        {
            IReadOnlyList<EncodedToken> tokens = tokenizer.EncodeToTokens(text, out _);
            Assert.Equal(expected, tokens.Select(token => token.Id));
            Assert.All(tokens, token => Assert.Equal(tokenizer.TokenOf(token.Id), token.Value));
            if (!item.TryGetProperty("offsets", out JsonElement offsets))
                continue;       // the largest files leave them out of some items
            int[] units = UnitsOfCodePoints(text);
            Assert.Equal(Ints(offsets).Select(place => units[place]),
                tokens.SelectMany(token => (int[])[token.Offset.Start.Value, token.Offset.End.Value]));
        }
    }

    private static void CheckDecoding(DiffusionGemmaTokenizer tokenizer, JsonElement item)
    {
        int[] ids = Ints(item.GetProperty("ids"));
        foreach ((string name, bool skips) in (ReadOnlySpan<(string, bool)>)[("decoded", false), ("decoded_skip_special", true)])
        {
            string expected = item.GetProperty(name).GetString()!;
            Assert.Equal(expected, tokenizer.Decode(ids, skips));
            StreamingDecoder streaming = new(tokenizer, skips);
            Assert.Equal(expected, string.Concat(ids.Select(streaming.Append)) + streaming.Flush());
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
