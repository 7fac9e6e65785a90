using System.IO.Compression;
using System.Text;
using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma.Persistence;

/// <summary>Pipelines that earlier layouts of saved models hold load for ever; those of later ones are refused in words.</summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class SavedVersionsTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 7);

    // The fixtures were trained on tiny-chat in another folder.
    public SavedVersionsTests() => DiffusionGemmaCheckpoints.Resolver = _ => TinyChat.Checkpoint;

    public void Dispose() => DiffusionGemmaCheckpoints.Resolver = null;

    [Theory]
    [InlineData("pipeline-v1.zip", 4)]
    [InlineData("pipeline-v2.zip", 4)]
    public void Earlier_layouts_answer_as_they_did(string file, int batchesAhead)
    {
        ITransformer model = _ml.Transforms.DiffusionGemma.Load(Fixtures.Path("models", file), out DataViewSchema schema);
        Assert.Equal("Messages", Assert.Single(schema).Name);
        DiffusionGemmaTransformer part = _ml.Transforms.DiffusionGemma.AnsweringPart(model);
        Assert.Equal((3, batchesAhead, RowFailure.Throw), (part.BatchSize, part.Options.BatchesAhead, part.Options.OnFailure));
        Assert.Equal((12, 32), (part.Generation.MaxDenoisingSteps, part.Generation.MaxNewTokens));
        Assert.Equal(1, part.Adapter!.Rank);

        IDataView scored = model.Transform(TinyChat.Unanswered(_ml, "What is 8 plus 7?", "What is 2 plus 2?"));
        Assert.Equal(["8 plus 7 is 15.", "2 plus 2 is 4."], scored.GetColumn<string>("Response"));
        // Saved by this version it is of the newest layout, and answers the same.
        ITransformer again = EstimatorAssert.SaveAndLoad(_ml, model, schema);
        Assert.Equal(Views.Dump(scored, "Response"),
            Views.Dump(again.Transform(TinyChat.Unanswered(_ml, "What is 8 plus 7?", "What is 2 plus 2?")), "Response"));
    }

    /// <summary>Each part of a saved pipeline in turn claims to be of a layout that is not known yet.</summary>
    [Theory]
    [InlineData("DGM TOKS")]
    [InlineData("DGM MASK")]
    [InlineData("DGM PACK")]
    [InlineData("DGM MODL")]
    public void A_later_layout_is_refused_in_words(string signature)
    {
        using TemporaryFolder folder = Fixtures.Temporary("later");
        string file = folder.File("later.zip");
        File.Copy(Fixtures.Path("models", "pipeline-v2.zip"), file);
        int changed = 0;
        using (ZipArchive zip = ZipFile.Open(file, ZipArchiveMode.Update))
            foreach (ZipArchiveEntry entry in zip.Entries.Where(
                entry => entry.FullName.EndsWith("Model.key", StringComparison.Ordinal)).ToArray())
            {
                using Stream stream = entry.Open();
                using var content = new MemoryStream();
                stream.CopyTo(content);
                byte[] bytes = content.ToArray();
                // ML.NET writes the space of a signature as a zero byte.
                int at = bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(signature.Replace(' ', '\0')));
                if (at < 0) continue;
                // Behind the signature: version written, version readable.
                BitConverter.TryWriteBytes(bytes.AsSpan(at + 8), 0x0001_00FF);
                BitConverter.TryWriteBytes(bytes.AsSpan(at + 12), 0x0001_00FF);
                stream.Position = 0;
                stream.Write(bytes);
                changed++;
            }
        Assert.Equal(1, changed);
        List<string> errors = [];
        _ml.Log += (_, log) =>
        {
            if (log.Kind == ChannelMessageKind.Error) errors.Add(log.RawMessage);
        };
        var error = Assert.Throws<FormatException>(() => _ml.Transforms.DiffusionGemma.Load(file));
        Assert.StartsWith($"{file}: The model was saved by a newer version of DiffusionGemma.MLNet", error.Message);
        Assert.Contains("has layout 255, this version reads up to", error.Message);
        string ofPart = Assert.Single(errors);
        Assert.Equal($"{file}: {ofPart}", error.Message);
        Assert.Equal(ofPart, Assert.ThrowsAny<Exception>(() => _ml.Model.Load(file, out _)).GetBaseException().Message);
    }
}
