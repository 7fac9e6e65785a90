using System.IO.Compression;
using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Persistence;

/// <summary>Whatever a saved model's file holds, it is loaded, or refused.</summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class SavedModelFuzzTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 7);

    public SavedModelFuzzTests() => DiffusionGemmaCheckpoints.Resolver = _ => TinyChat.Checkpoint;

    public void Dispose() => DiffusionGemmaCheckpoints.Resolver = null;

    /// <summary>Breaks the bytes of an entry, which is then compressed anew, or those of the file.</summary>
    [Fact]
    public void A_broken_zip_fails_only_in_words() =>
        Break("zip", 400, File.ReadAllBytes(Fixtures.Path("models", "pipeline-v2.zip")), models: 1);

    /// <summary>Plans of typed answers, with grammars.</summary>
    [Fact]
    public void A_broken_zip_of_typed_answers_fails_only_in_words()
    {
        const string Schema =
            """{"type":"object","properties":{"sum":{"type":"integer","minimum":0,"maximum":99},"w":{"enum":["a","b"]}}}""";
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        using TemporaryFolder folder = Fixtures.Temporary();
        IDataView rows = _ml.Data.LoadFromEnumerable<Source>([new()]);
        ITransformer both = gemma.Classify(TinyChat.Checkpoint, ["toys", "tools"], "Text")
            .Append(gemma.Extract(TinyChat.Checkpoint, AnswerGrammar.JsonSchema(Schema), new ExtractionEstimator.Options())).Fit(rows);
        _ml.Model.Save(both, rows.Schema, folder.File("typed.zip"));
        (both as IDisposable)?.Dispose();
        Break("typed-zip", 100, File.ReadAllBytes(folder.File("typed.zip")), models: 2);
    }

    private void Break(string name, int mutations, byte[] zip, int models)
    {
        (string Name, byte[] Content)[] entries = Entries(zip);
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("fuzz.zip");
        File.WriteAllBytes(path, []);
        new MutationFuzzer
        {
            Name = name, Mutations = mutations, Folder = folder.Path,         // each reads a tokenizer and a checkpoint's bytes
            FixedBytes = models * (64L << 20),                                                           // a tokenizer for each model
            Make = random =>
            {
                if (random.Next(5) == 0) return Mutations.OfBytes(random, zip);
                int broken = random.Next(entries.Length);
                return Zip(entries.Select(
                    (entry, n) => n == broken ? entry with { Content = Mutations.OfBytes(random, entry.Content) } : entry));
            },
            Read = bytes =>
            {
                File.WriteAllBytes(path, bytes);
                try
                {
                    (_ml.Transforms.DiffusionGemma.Load(path) as IDisposable)?.Dispose();
                }
                // Of what ML.NET's reader throws too.
                catch (Exception e) when (e is FormatException or IOException)
                {
                    Assert.NotEmpty(e.Message);
                }
            },
        }.Run();
    }

    private static (string Name, byte[] Content)[] Entries(byte[] zip)
    {
        using var archive = new ZipArchive(new MemoryStream(zip));
        return
        [
            .. archive.Entries.Select(entry =>
            {
                using var content = new MemoryStream();
                using Stream stream = entry.Open();
                stream.CopyTo(content);
                return (entry.FullName, content.ToArray());
            }),
        ];
    }

    private static byte[] Zip(IEnumerable<(string Name, byte[] Content)> entries)
    {
        using var file = new MemoryStream();
        using (var archive = new ZipArchive(file, ZipArchiveMode.Create, leaveOpen: true))
            foreach ((string name, byte[] content) in entries)
            {
                using Stream stream = archive.CreateEntry(name, CompressionLevel.Fastest).Open();
                stream.Write(content);
            }
        return file.ToArray();
    }

    private sealed class Source
    {
        public string Text { get; set; } = "seven apples";
    }
}
