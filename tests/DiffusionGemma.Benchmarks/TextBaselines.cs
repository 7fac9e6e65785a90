using System.Diagnostics;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace DiffusionGemma.Benchmarks;

/// <summary>
/// Microsoft.ML.Tokenizers' own classes, built from the same tokenizer.json: what a user would have without this library. BpeTokenizer has
/// no byte fallback (unknown characters become the unknown token) and a normalizer that stands in for the file's; SentencePieceTokenizer
/// has both.
/// </summary>
internal static class TextBaselines
{
    private const double MostMegabytes = 0.5;

    public static void Measure(string path, DiffusionGemmaTokenizer ours, string[] texts, bool isReleasedVocabulary)
    {
        using JsonDocument file = JsonDocument.Parse(File.ReadAllBytes(path));
        using JsonDocument golden = JsonDocument.Parse(Fixtures.Text("text", "golden_gemma4like.json"));
        JsonElement[] items = [.. golden.RootElement.GetProperty("items").EnumerateArray()];
        string[] some = Some(texts);
        Figure.Note(
            $"Microsoft.ML.Tokenizers' classes encode {TextBenchmark.Megabytes(some):0.0} MB "
            + $"of the {TextBenchmark.Megabytes(texts):0.0} MB.");
        if (isReleasedVocabulary)
            Figure.Print("text.goldens", Share(items, item => IsExact(ours, item)) * items.Length, $"of_{items.Length}");
        // Each merges a text as one word; BpeTokenizer in time that grows with its square.
        Measure("text.mlnet_bpe", () => CreateBpe(file.RootElement));
        Measure("text.mlnet_sentencepiece", () => TextSentencePiece.Create(file.RootElement));

        void Measure(string name, Func<Tokenizer> create)
        {
            var clock = Stopwatch.StartNew();
            Tokenizer theirs = create();
            Figure.Print($"{name}.load.s", clock.Elapsed.TotalSeconds, "s");
            TextBenchmark.Seconds(theirs, some[..Math.Min(50, some.Length)], 1);
            Figure.Print($"{name}.encode.mbps.1", TextBenchmark.Megabytes(some) / TextBenchmark.Seconds(theirs, some, 1), "MB/s");
            Figure.Print($"{name}.encode.agree",
                Share(some, text => theirs.EncodeToIds(text).SequenceEqual(ours.EncodeToIds(text))), "share");
            if (isReleasedVocabulary)
                Figure.Print($"{name}.goldens", Share(items, item => IsExact(theirs, item)) * items.Length, $"of_{items.Length}");
        }
    }

    private static bool IsExact(Tokenizer tokenizer, JsonElement item) =>
        tokenizer.EncodeToIds(item.GetProperty("text").GetString()!)
            .SequenceEqual(item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));

    private static BpeTokenizer CreateBpe(JsonElement file)
    {
        JsonElement model = file.GetProperty("model");
        Dictionary<string, int> special = file.GetProperty("added_tokens").EnumerateArray()
            .ToDictionary(token => token.GetProperty("content").GetString()!, token => token.GetProperty("id").GetInt32());
        var options =
            new BpeOptions(model.GetProperty("vocab").EnumerateObject()
                .Select(token => KeyValuePair.Create(token.Name, token.Value.GetInt32())))
            {
                Merges =
                [.. model.GetProperty("merges").EnumerateArray()
                    .Select(merge => merge.ValueKind == JsonValueKind.String ? merge.GetString()!
                        : $"{merge[0].GetString()} {merge[1].GetString()}")],
                SpecialTokens = special,
                Normalizer = new SpaceMarker(),
                // Without one, BpeTokenizer splits at words, which this vocabulary does not.
                PreTokenizer = new CompositePreTokenizer([new WholeText()], special),
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
