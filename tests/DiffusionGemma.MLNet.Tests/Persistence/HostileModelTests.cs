using System.IO.Compression;
using System.Text;
using DiffusionGemma.FineTuning;
using Microsoft.ML;

namespace DiffusionGemma.Persistence;

/// <summary>Saved models with damage, or made to do harm.</summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class HostileModelTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 7);
    private readonly TemporaryFolder _folder = Fixtures.Temporary("hostile");
    private readonly byte[] _saved;

    public HostileModelTests()
    {
        DiffusionGemmaCheckpoints.Resolver = _ => TinyChat.Checkpoint;
        ITransformer model = _ml.Transforms.DiffusionGemma.Load(Fixtures.Path("models", "pipeline-v2.zip"), out DataViewSchema schema);
        _ml.Model.Save(model, schema, _folder.File("saved.zip"));
        _saved = File.ReadAllBytes(_folder.File("saved.zip"));
    }

    public void Dispose()
    {
        DiffusionGemmaCheckpoints.Resolver = null;
        _folder.Dispose();
    }

    /// <summary>Each file in the zip in turn has one bit flipped, and is compressed anew: its own check sum is right.</summary>
    [Fact]
    public void A_flipped_byte_of_any_file_in_the_zip_is_found_at_load()
    {
        var random = new Random(3);
        List<string> files = [];
        foreach ((string name, byte[] content) in Entries(_saved).Where(entry => IsFile(entry.Name)))
        {
            byte[] damaged = [.. content];
            damaged[random.Next(content.Length)] ^= (byte)(1 << random.Next(7));
            var error = Assert.Throws<FormatException>(() => Load(Entries(_saved).Select(e => e.Name == name ? (name, damaged) : e)));
            Assert.Contains(".zip: The saved model is damaged: ", error.Message, StringComparison.Ordinal);
            if (!name.EndsWith("SHA256SUMS", StringComparison.Ordinal))
                Assert.Contains(Path.GetFileName(name.Replace('\\', '/')), error.Message, StringComparison.Ordinal);
            files.Add(Path.GetFileName(name.Replace('\\', '/')));
        }
        Assert.Contains("adapter_model.safetensors", files);
        Assert.Contains("tokenizer.json", files);
        Load(Entries(_saved));
    }

    /// <summary>A name of a file in the model leads out of the folder that its files are put into.</summary>
    [Theory]
    [InlineData("../../../escaped.js")]
    [InlineData("/escaped/the-file.x")]
    [InlineData("adapter\0config.json")]
    [InlineData("..\\..\\..\\escaped.js")]
    public void A_name_that_leads_elsewhere_is_refused(string name)
    {
        // ML.NET keeps a part's texts in UTF-16; the name of the digests begins with the first file's.
        byte[] from = Encoding.Unicode.GetBytes("adapter_config.json"), to = Encoding.Unicode.GetBytes(name);
        Assert.Equal(from.Length, to.Length);
        int changed = 0;
        var error = Assert.Throws<FormatException>(() => Load([.. Entries(_saved).Select(entry =>
        {
            if (!entry.Name.EndsWith("Model.key", StringComparison.Ordinal)) return entry;
            for (int at; (at = entry.Content.AsSpan().IndexOf(from)) >= 0; changed++) to.CopyTo(entry.Content, at);
            return entry;
        })]));
        Assert.True(changed > 0);
        Assert.EndsWith("is no file name.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_zip_that_inflates_without_end_is_refused()
    {
        byte[] zeros = new byte[1 << 20];
        string path = _folder.File("bomb.zip");
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create))
            foreach ((string name, byte[] content) in Entries(_saved))
            {
                using Stream stream = zip.CreateEntry(name, CompressionLevel.SmallestSize).Open();
                stream.Write(content);
                for (int n = 0; n < 200 && name.EndsWith("adapter_model.safetensors", StringComparison.Ordinal); n++) stream.Write(zeros);
            }
        var error = Assert.Throws<FormatException>(() => _ml.Transforms.DiffusionGemma.Load(path));
        Assert.Contains("adapter_model.safetensors", error.Message, StringComparison.Ordinal);
        Assert.Contains("times as large as in the zip", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("PK")]
    [InlineData("{\"messages\":[]}")]
    public void A_file_that_is_no_zip_is_named(string text)
    {
        File.WriteAllText(_folder.File("model.zip"), text);
        Assert.StartsWith(
            $"{_folder.File("model.zip")} cannot be loaded: it is no saved model, or is damaged",
            Assert.Throws<FormatException>(() => _ml.Transforms.DiffusionGemma.Load(_folder.File("model.zip"))).Message,
            StringComparison.Ordinal);
    }

    /// <summary>ML.NET made room for 838 million parts.</summary>
    [Theory]
    [InlineData(5)]
    [InlineData(0x32000004)]
    [InlineData(-1)]
    public void A_chain_that_claims_more_parts_than_it_describes_is_refused(int parts)
    {
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<FormatException>(() => Load(Entries(_saved).Select(entry =>
        {
            if (entry.Name.Replace('\\', '/') != "TransformerChain/Model.key") return entry;
            byte[] changed = [.. entry.Content];
            Assert.Equal(4, BitConverter.ToInt32(changed, 256));
            BitConverter.TryWriteBytes(changed.AsSpan(256), parts);
            return (entry.Name, changed);
        })));
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Assert.Contains($"claims {(uint)parts:N0} parts and describes 4", error.Message, StringComparison.Ordinal);
        Assert.True(bytes < 64 << 20, $"{bytes:N0} bytes");
    }

    private static bool IsFile(string name) =>
        name.EndsWith(".json", StringComparison.Ordinal) || name.EndsWith(".safetensors", StringComparison.Ordinal)
        || name.EndsWith(".jinja", StringComparison.Ordinal) || name.EndsWith("SHA256SUMS", StringComparison.Ordinal);

    private void Load(IEnumerable<(string Name, byte[] Content)> entries)
    {
        string path = _folder.File("model.zip");
        File.Delete(path);
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create))
            foreach ((string name, byte[] content) in entries)
            {
                using Stream stream = zip.CreateEntry(name, CompressionLevel.Fastest).Open();
                stream.Write(content);
            }
        (_ml.Transforms.DiffusionGemma.Load(path) as IDisposable)?.Dispose();
    }

    private static List<(string Name, byte[] Content)> Entries(byte[] zip)
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
}
