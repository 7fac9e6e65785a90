using System.Diagnostics;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Microsoft.ML.Tokenizers' own BPE, built from the same tokenizer.json: what a user would have without this library. Its normalizer
/// stands in for the file's, and unknown characters become the unknown token because it has no byte fallback.
/// </summary>
internal static class TextBaselines
{
    private const double MostMegabytes = 0.5;

    public static void Measure(string path, DiffusionGemmaTokenizer ours, string[] texts, bool isReleasedVocabulary)
    {
        using JsonDocument file = JsonDocument.Parse(File.ReadAllBytes(path));
        JsonElement model = file.RootElement.GetProperty("model");
        var clock = Stopwatch.StartNew();
        BpeTokenizer theirs = Create(file.RootElement, model);
        Figure.Print("text.mlnet_bpe.load.s", clock.Elapsed.TotalSeconds, "s");

        // It merges a text without pre-tokenizer as one word, in time that grows with its square.
        string[] some = Some(texts);
        TextBenchmark.Seconds(theirs, some[..Math.Min(50, some.Length)], 1);
        Figure.Note($"Microsoft.ML.Tokenizers encodes {TextBenchmark.Megabytes(some):0.0} MB of the {TextBenchmark.Megabytes(texts):0.0} MB.");
        Figure.Print("text.mlnet_bpe.encode.mbps.1", TextBenchmark.Megabytes(some) / TextBenchmark.Seconds(theirs, some, 1), "MB/s");
        Figure.Print("text.mlnet_bpe.encode.agree", Share(some, text => theirs.EncodeToIds(text).SequenceEqual(ours.EncodeToIds(text))), "share");

        if (!isReleasedVocabulary)
            return;
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("text", "golden_gemma4like.json")));
        JsonElement[] items = [.. golden.RootElement.GetProperty("items").EnumerateArray()];
        foreach ((string name, Tokenizer tokenizer) in (ReadOnlySpan<(string, Tokenizer)>)[("text", ours), ("text.mlnet_bpe", theirs)])
            Figure.Print($"{name}.goldens", Share(items, item => IsExact(tokenizer, item)) * items.Length, $"of_{items.Length}");
    }

    private static bool IsExact(Tokenizer tokenizer, JsonElement item) =>
        tokenizer.EncodeToIds(item.GetProperty("text").GetString()!).SequenceEqual(item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));

    private static BpeTokenizer Create(JsonElement file, JsonElement model)
    {
        Dictionary<string, int> special = file.GetProperty("added_tokens").EnumerateArray()
            .ToDictionary(token => token.GetProperty("content").GetString()!, token => token.GetProperty("id").GetInt32());
        var options = new BpeOptions(model.GetProperty("vocab").EnumerateObject().Select(token => KeyValuePair.Create(token.Name, token.Value.GetInt32())))
        {
            Merges = [.. model.GetProperty("merges").EnumerateArray().Select(merge => merge.ValueKind == JsonValueKind.String ? merge.GetString()! : $"{merge[0].GetString()} {merge[1].GetString()}")],
            SpecialTokens = special,
            Normalizer = new SpaceMarker(),
            PreTokenizer = new CompositePreTokenizer([new WholeText()], special),     // without one, BpeTokenizer splits at words, which this vocabulary does not
            UnknownToken = "<unk>",
            FuseUnknownTokens = true,
        };
        return BpeTokenizer.Create(options);
    }

    private static string[] Some(string[] texts)
    {
        int count = 0;
        for (double megabytes = 0; count < texts.Length && megabytes < MostMegabytes; count++)
            megabytes += TextBenchmark.Megabytes([texts[count]]);
        return texts[..count];
    }

    private static double Share<T>(T[] items, Func<T, bool> holds) => items.Count(holds) / (double)items.Length;

    private sealed class SpaceMarker : Normalizer
    {
        public override string Normalize(string original) => original.Replace(' ', '▁');

        public override string Normalize(ReadOnlySpan<char> original) => Normalize(original.ToString());
    }

    private sealed class WholeText : PreTokenizer
    {
        public override IEnumerable<(int Offset, int Length)> PreTokenize(string text) => [(0, text.Length)];

        public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text) => [(0, text.Length)];
    }
}
