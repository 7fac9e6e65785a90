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
    public void A_broken_zip_fails_only_in_words()
    {
        byte[] zip = File.ReadAllBytes(Fixtures.Path("models", "pipeline-v2.zip"));
        (string Name, byte[] Content)[] entries = Entries(zip);
        using TemporaryFolder folder = Fixtures.Temporary();
        string path = folder.File("fuzz.zip");
        File.WriteAllBytes(path, []);
        new MutationFuzzer
        {
            Name = "zip", Mutations = 400, Folder = folder.Path,         // each reads a tokenizer and a checkpoint's bytes
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
                // ML.NET's reader has no exception of its own.
                catch (Exception e) when (e is FormatException or IOException or InvalidDataException or InvalidOperationException)
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
}
