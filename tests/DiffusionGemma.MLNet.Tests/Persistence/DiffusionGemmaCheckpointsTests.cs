using DiffusionGemma.FineTuning;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Persistence;

/// <summary>
/// Places where a saved model finds its base. (The tests change the process's state, so they are one class and run one by one.)
/// </summary>
[Collection(nameof(DiffusionGemmaCheckpoints))]
public sealed class DiffusionGemmaCheckpointsTests : IDisposable
{
    private readonly TemporaryFolder _folder = Fixtures.Temporary("checkpoints");
    private readonly string _original;
    private readonly CheckpointReference _reference;

    public DiffusionGemmaCheckpointsTests()
    {
        _original = Copy("tiny-chat", _folder.File("original"));
        _reference = new CheckpointReference(_original, CheckpointFingerprint.Compute(_original));
    }

    public void Dispose()
    {
        DiffusionGemmaCheckpoints.Resolver = null;
        Environment.SetEnvironmentVariable(DiffusionGemmaCheckpoints.EnvironmentVariable, null);
        _folder.Dispose();
    }

    [Fact]
    public void It_is_taken_from_where_it_was() => Assert.Equal(_original, DiffusionGemmaCheckpoints.Find(_reference, new MLContext()));

    [Fact]
    public void A_model_of_the_first_layout_loads_and_answers_as_it_did()
    {
        // Written before AnswerOptions were, of a checkpoint that is found by its fingerprint.
        DiffusionGemmaCheckpoints.Resolver = reference => reference.Name == "tiny-chat" ? TinyChat.Checkpoint : null;
        var ml = new MLContext();
        using var loaded = (DiffusionGemmaTransformer)ml.Model.Load(Fixtures.Path("models", "version1.zip"), out DataViewSchema schema);
        var generation = new GenerationOptions { MaxDenoisingSteps = 3, MaxNewTokens = 32, Seed = 5 };
        Assert.Equal(new AnswerOptions { BatchSize = 3, Generation = generation }, loaded.Options);
        IDataView rows = ml.Data.LoadFromEnumerable(new[] { new Prompt { InputIds = [2, 105, 300], PromptLength = 3 } });
        Assert.Equal(Views.Columns(schema), Views.Columns(rows.Schema));
        using DiffusionGemmaTransformer fresh = ml.Transforms.DiffusionGemma.Answer(TinyChat.Checkpoint, generation, batchSize: 3)
            .Fit(rows);
        Assert.Equal(Views.Dump(fresh.Transform(rows)), Views.Dump(loaded.Transform(rows)));
    }

    [Fact]
    public void It_is_found_by_its_name_below_a_folder_of_the_variable()
    {
        string moved = Move(_folder.File("elsewhere"));
        Environment.SetEnvironmentVariable(DiffusionGemmaCheckpoints.EnvironmentVariable,
            string.Join(Path.PathSeparator, "nowhere", _folder.File("elsewhere")));
        Assert.Equal(moved, DiffusionGemmaCheckpoints.Find(_reference, new MLContext()));
    }

    [Fact]
    public void It_is_found_by_its_fingerprint_under_another_name_beside_other_checkpoints()
    {
        string moved = Move(_folder.File("elsewhere"));
        Directory.Move(moved, Path.Combine(_folder.File("elsewhere"), "renamed"));
        CopyFolder(Fixtures.Checkpoint("tiny-2layer"), Path.Combine(_folder.File("elsewhere"), "another"));
        Environment.SetEnvironmentVariable(DiffusionGemmaCheckpoints.EnvironmentVariable, _folder.File("elsewhere"));
        Assert.Equal(Path.Combine(_folder.File("elsewhere"), "renamed"), DiffusionGemmaCheckpoints.Find(_reference, new MLContext()));
    }

    [Theory]
    [InlineData("/models/base/", "base")]
    [InlineData(@"C:\models\base", "base")]
    [InlineData("base", "base")]
    public void The_name_is_the_last_part_of_any_system_s_path(string path, string name) =>
        Assert.Equal(name, new CheckpointReference(path, "").Name);

    [Fact]
    public void The_resolver_is_asked_last_and_told_what_is_wanted()
    {
        string moved = Move(_folder.File("elsewhere"));
        CheckpointReference? asked = null;
        DiffusionGemmaCheckpoints.Resolver = reference =>
        {
            asked = reference;
            return moved;
        };
        Assert.Equal(moved, DiffusionGemmaCheckpoints.Find(_reference, new MLContext()));
        Assert.Equal(_reference, asked);
        Assert.Equal("tiny-chat", asked!.Name);
    }

    [Fact]
    public void Another_checkpoint_in_its_place_is_refused_and_the_error_says_where_was_looked()
    {
        Directory.Delete(_original, recursive: true);
        CopyFolder(Fixtures.Checkpoint("tiny-2layer"), _original);
        DiffusionGemmaCheckpoints.Resolver = _ => "nowhere";
        string message = Assert.Throws<FileNotFoundException>(() => DiffusionGemmaCheckpoints.Find(_reference, new MLContext())).Message;
        Assert.Contains($"{_original} (the path at training): is another checkpoint (fingerprint ", message);
        Assert.Contains("nowhere (Resolver): is not there", message);
        Assert.Contains("DIFFUSIONGEMMA_CHECKPOINTS", message);
    }

    [Fact]
    public void A_saved_model_whose_base_has_moved_loads_where_it_is_found_and_is_refused_where_not()
    {
        var ml = new MLContext(seed: 7);
        IDataView data = TinyChat.Questions(ml, 4);
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        string[] answers;
        using (TransformerChain<DiffusionGemmaTransformer> model = gemma.TokenizeChat(_original).Append(gemma.MaskResponse())
            .Append(gemma.PackCanvas(_original))
            .Append(gemma.FineTune(_original, TinyChat.Lora, TinyChat.Quick)).Fit(data))
        {
            answers = Views.Dump(model.Transform(data), "Response");
            ml.Model.Save(model, data.Schema, _folder.File("model.zip"));
        }
        string moved = Move(_folder.File("elsewhere"));
        // ML.NET's own Load would wrap an error: it is logged, and thrown at the first use; the catalog's Load throws it at once.
        List<string> errors = [];
        ml.Log += (_, log) =>
        {
            if (log.Kind == Microsoft.ML.Runtime.ChannelMessageKind.Error) errors.Add(log.RawMessage);
        };
        ITransformer homeless = ml.Model.Load(_folder.File("model.zip"), out _);
        Assert.StartsWith("The checkpoint 'tiny-chat'", Assert.Single(errors));
        Assert.StartsWith("The checkpoint 'tiny-chat'", Assert.Throws<FileNotFoundException>(() => homeless.Transform(data)).Message);
        Assert.StartsWith("The checkpoint 'tiny-chat'",
            Assert.Throws<FileNotFoundException>(() => gemma.Load(_folder.File("model.zip"))).Message);

        DiffusionGemmaCheckpoints.Resolver = _ => moved;
        Assert.Equal(answers, Views.Dump(homeless.Transform(data), "Response"));
        Assert.Equal(answers, Views.Dump(gemma.Load(_folder.File("model.zip")).Transform(data), "Response"));
    }

    private string Move(string parent)
    {
        Directory.CreateDirectory(parent);
        string moved = Path.Combine(parent, "tiny-chat");
        Directory.Move(_original, moved);
        return moved;
    }

    private static string Copy(string name, string parent) => CopyFolder(Fixtures.Checkpoint(name), Path.Combine(parent, name));

    private static string CopyFolder(string source, string target)
    {
        Directory.CreateDirectory(target);
        foreach (string file in Directory.EnumerateFiles(source))
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        return target;
    }

    private sealed class Prompt
    {
        public int[] InputIds { get; set; } = [];

        public int PromptLength { get; set; }
    }
}
