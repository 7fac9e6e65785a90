using System.Text;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

public sealed class TokenizerFileFuzzTests
{
    private static readonly string[] Pieces = [
        "{", "}", "[", "]", "\"", ",", ":", "0", "x", "\\", "null", "true", "1e9", "<eos>", "\\ud800", "\uFEFF", "▁", "-", "\"id\":",
        "[\"a\",\"b\"],"];

    /// <summary>Whatever stands in the file, it is read and used, or refused with the typed error.</summary>
    [Fact]
    public void BrokenFilesFailOnlyWithTheTypedError()
    {
        string source = File.ReadAllText(Path.Combine(Fixtures.Checkpoint("tiny-chat"), "tokenizer.json"));
        JsonNode json = JsonNode.Parse(source)!;
        // Without most of its merges the same file is read ten times as often.
        JsonNode small = json.DeepClone();
        small["model"]!["merges"] = new JsonArray([.. json["model"]!["merges"]!.AsArray().Take(50).Select(merge => merge!.DeepClone())]);
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("tokenizer.json"), source);
        new MutationFuzzer
        {
            Name = "tokenizer.json", Folder = folder.Path, Mutations = 2_000,                    // each reads a vocabulary
            Make = random => Encoding.UTF8.GetBytes(random.Next(3) == 0
                ? Mutations.OfText(random, random.Next(4) == 0 ? source : small.ToJsonString(), Pieces) : Mutations.OfJson(random, small)),
            Read = input =>
            {
                File.WriteAllBytes(folder.File("tokenizer.json"), input);
                try
                {
                    DiffusionGemmaTokenizer tokenizer = DiffusionGemmaTokenizer.Load(folder.File("tokenizer.json"));
                    const string Text = "some <eos> text 日本 🙂\n\n";
                    tokenizer.Decode(tokenizer.EncodeToIds(Text), skipSpecialTokens: true);
                    tokenizer.EncodeToTokens(Text, out _);
                }
                catch (InvalidDataException exception)
                {
                    Assert.Contains("tokenizer.json", exception.Message);
                }
            },
        }.Run();
    }
}
