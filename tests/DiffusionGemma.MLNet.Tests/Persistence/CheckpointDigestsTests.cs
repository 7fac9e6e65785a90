using System.IO.Compression;
using System.Text;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Persistence;

/// <summary>Digests of the files that a saved model points to: they are in the zip, and compared when it is loaded.</summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class CheckpointDigestsTests : IDisposable
{
    private const string Settings = "generation_config.json";

    private readonly TemporaryFolder _folder = Fixtures.Temporary("digests");
    private readonly MLContext _ml = new(seed: 7);
    private readonly List<string> _warnings = [];

    public CheckpointDigestsTests() => _ml.Log += (_, log) =>
    {
        if (log.Kind == ChannelMessageKind.Warning) _warnings.Add(log.RawMessage);
    };

    private string Zip => _folder.File("model.zip");

    private string Base => _folder.File("base");

    public void Dispose() => _folder.Dispose();

    /// <summary>One bit of each file in turn, then its length, then the whole file.</summary>
    [Fact]
    public void A_changed_file_is_named()
    {
        Copy(Fixtures.Checkpoint("tiny-bf16-sharded"));
        CheckpointReference reference = CheckpointReference.Create(Base);
        string[] names = [.. reference.Files.Select(file => file.Name)];
        Assert.Equal(Directory.EnumerateFiles(Base).Select(path => Path.GetFileName(path)!).Order(), names.Order());
        Assert.All(reference.Files, file => Assert.Equal(Checksums.Digest(Path.Combine(Base, file.Name)), file.Whole));
        var random = new Random(5);
        foreach (string path in names.Where(name => name != Settings).Select(name => Path.Combine(Base, name)))
        {
            byte[] whole = File.ReadAllBytes(path), flipped = [.. whole];
            flipped[random.Next(whole.Length)] ^= 1;
            foreach (byte[]? changed in new[] { flipped, whole[..^1], [.. whole, 0], null })
            {
                if (changed is null) File.Delete(path);
                else File.WriteAllBytes(path, changed);
                var error = Assert.Throws<FileNotFoundException>(() => DiffusionGemmaCheckpoints.Find(reference, _ml));
                Assert.Contains(changed is null && path.EndsWith("config.json", StringComparison.Ordinal)
                    ? "has no config.json" : Path.GetFileName(path), error.Message, StringComparison.Ordinal);
            }
            File.WriteAllBytes(path, whole);
        }
        Assert.Equal(Base, DiffusionGemmaCheckpoints.Find(reference, _ml));
        Assert.Empty(_warnings);
    }

    /// <summary>They may be edited, and answers follow them.</summary>
    [Fact]
    public void Other_settings_of_answers_are_a_warning()
    {
        Copy(Fixtures.Checkpoint("tiny-chat"));
        Save();
        File.AppendAllText(Path.Combine(Base, Settings), " ");
        (_ml.Transforms.DiffusionGemma.Load(Zip) as IDisposable)?.Dispose();
        Assert.StartsWith($"{Base} has {Settings} with ", Assert.Single(_warnings), StringComparison.Ordinal);
        Assert.EndsWith("answers may differ.", _warnings[0], StringComparison.Ordinal);
        var error = Assert.Throws<CheckpointException>(() => _ml.Transforms.DiffusionGemma.Load(Zip, out _, verify: true));
        Assert.Contains(Settings, error.Message, StringComparison.Ordinal);
    }

    /// <summary>A byte between the samples is seen by verification alone, by the digests in the zip, whatever lies beside it.</summary>
    [Fact]
    public void Verification_compares_every_byte_with_the_digests_in_the_zip()
    {
        Copy(Fixtures.Checkpoint("tiny-chat"));
        string weights = Path.Combine(Base, "model.safetensors"), sums = Path.Combine(Base, Checksums.FileName);
        File.WriteAllText(sums, $"{Checksums.Digest(weights)}  model.safetensors\n");
        Save();
        File.Delete(sums);
        Load(verify: true);
        FlipBetweenSamples(weights);
        Load(verify: false);
        var error = Assert.Throws<CheckpointException>(() => Load(verify: true));
        Assert.Contains("has model.safetensors with other bytes than it had when the model was made", error.Message,
            StringComparison.Ordinal);
        Assert.StartsWith(Base, error.Message, StringComparison.Ordinal);
        // Its own new digests do not make it the file that it was.
        File.WriteAllText(sums, $"{Checksums.Digest(weights)}  model.safetensors\n");
        Assert.Throws<CheckpointException>(() => Load(verify: true));
    }

    [Fact]
    public void Weights_without_digests_are_not_verified_in_silence()
    {
        Copy(Fixtures.Checkpoint("tiny-chat"));
        Save();
        Assert.Contains("sha256sum * > SHA256SUMS", Assert.Throws<CheckpointException>(() => Load(verify: true)).Message,
            StringComparison.Ordinal);
        string weights = Path.Combine(Base, "model.safetensors");
        File.WriteAllText(Path.Combine(Base, Checksums.FileName), $"{Checksums.Digest(weights)}  model.safetensors\n");
        Load(verify: true);
        FlipBetweenSamples(weights);
        Assert.Contains("model.safetensors", Assert.Throws<CheckpointException>(() => Load(verify: true)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void SHA256SUMS_that_cannot_be_read_costs_no_trained_model()
    {
        Copy(Fixtures.Checkpoint("tiny-chat"));
        File.WriteAllText(Path.Combine(Base, Checksums.FileName), "no digest");
        Assert.Null(Assert.Single(CheckpointReference.Create(Base).Files, file => file.Name == "model.safetensors").Whole);
    }

    /// <summary>The zip names a file beyond the folder.</summary>
    [Fact]
    public void A_name_that_leads_elsewhere_is_refused()
    {
        Copy(Fixtures.Checkpoint("tiny-chat"));
        Save();
        byte[] from = Encoding.Unicode.GetBytes(Settings), to = Encoding.Unicode.GetBytes("../../../../etc/passwd");
        Assert.Equal(from.Length, to.Length);
        int changed = 0;
        using (ZipArchive zip = ZipFile.Open(Zip, ZipArchiveMode.Update))
            foreach (ZipArchiveEntry entry in zip.Entries.Where(entry => entry.FullName.EndsWith("Model.key", StringComparison.Ordinal)))
            {
                using Stream stream = entry.Open();
                byte[] bytes = new byte[stream.Length];
                stream.ReadExactly(bytes);
                if (bytes.AsSpan().IndexOf(from) is not (>= 0 and var at)) continue;
                to.CopyTo(bytes, at);
                stream.Position = 0;
                stream.Write(bytes);
                changed++;
            }
        Assert.Equal(1, changed);
        Assert.EndsWith("is no file name.", Assert.Throws<FormatException>(() => Load(verify: false)).Message, StringComparison.Ordinal);
    }

    private void Copy(string source)
    {
        Directory.CreateDirectory(Base);
        foreach (string file in Directory.EnumerateFiles(source)) File.Copy(file, Path.Combine(Base, Path.GetFileName(file)));
    }

    private void Save()
    {
        IDataView rows = TinyChat.Unanswered(_ml, "What is 8 plus 7?");
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        using var model = gemma.TokenizeChat(Base).Append(gemma.MaskResponse()).Append(gemma.Answer(Base)).Fit(rows);
        _ml.Model.Save(model, rows.Schema, Zip);
    }

    private void Load(bool verify) => (_ml.Transforms.DiffusionGemma.Load(Zip, out _, verify) as IDisposable)?.Dispose();

    /// <summary>Changes the second block of the tensors' bytes; of these, every fourth one is sampled.</summary>
    private static void FlipBetweenSamples(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        int header = (int)BitConverter.ToInt64(bytes);
        bytes[8 + header + 4096] ^= 1;
        File.WriteAllBytes(path, bytes);
    }
}
