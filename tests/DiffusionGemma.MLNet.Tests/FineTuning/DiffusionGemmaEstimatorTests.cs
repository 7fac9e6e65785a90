using Microsoft.ML;
using Microsoft.ML.Data;
using TorchSharp;

namespace DiffusionGemma.FineTuning;

public sealed class DiffusionGemmaEstimatorTests
{
    private readonly MLContext _ml = new(seed: 7);

    [Fact]
    public void Fit_trains_as_FineTuner_does_on_the_same_rows_with_the_context_s_seed()
    {
        IDataView packed = TinyChat.Preparation(_ml).Fit(TinyChat.Questions(_ml, 6)).Transform(TinyChat.Questions(_ml, 6));
        var records = new List<StepRecord>();
        using DiffusionGemmaTransformer trained = _ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora,
            progress: new Immediate(records.Add)).Fit(packed);

        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(TinyChat.Checkpoint, torch.CPU, torch.ScalarType.Float32);
        TrainingExample[] examples =
        [
            .. packed.GetColumn<int[]>("InputIds").Zip(packed.GetColumn<bool[]>("LossMask"))
                .Zip(packed.GetColumn<int>("PromptLength").Zip(packed.GetColumn<int>("PaddedLength")))
                .Select(row => new TrainingExample(row.First.First, row.First.Second, row.Second.First, row.Second.Second)),
        ];
        using FineTuneResult expected = FineTuner.Fit(model, examples, TinyChat.Lora with { Seed = 7 });
        Assert.Equal(expected.History.Select(step => step.Loss), trained.Summary!.History.Select(step => step.Loss));
        Assert.Equal(expected.History.Select(step => step.GradientNorm), trained.Summary.History.Select(step => step.GradientNorm));
        Assert.Equal(expected.TrainedParameterCount, trained.Summary.TrainedParameterCount);
        Assert.Equal(trained.Summary.History, records);
    }

    [Fact]
    public void Rows_that_cannot_be_trained_on_are_counted_and_logged()
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable(
        [
            """[{"role":"user","content":"What is 1 plus 1?"},{"role":"assistant","content":"2"}]""",
            """[{"role":"user","content":"What is 1 plus 2?"}]""",
            $$"""[{"role":"user","content":"{{new string('x', 300)}}"},{"role":"assistant","content":"2"}]""",
            $$"""[{"role":"user","content":"What is 1 plus 3?"},{"role":"assistant","content":"{{new string('4', 300)}}"}]""",
        ]);
        var lines = new List<string>();
        _ml.Log += (_, line) => lines.Add($"{line.Kind}: {line.RawMessage}");
        IDataView packed = TinyChat.Preparation(_ml, maxLength: 100).Fit(data).Transform(data);
        using DiffusionGemmaTransformer trained = _ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint,
            TinyChat.Lora with { Epochs = 2 }).Fit(packed);
        FineTuneSummary summary = trained.Summary!;
        Assert.Equal((4, 2, 1, 1, 1), (summary.Rows, summary.TrainedRows, summary.UnansweredRows, summary.LostRows, summary.CutRows));
        Assert.Contains("Info: 2 of 4 rows to train on", lines);
        Assert.Contains("Warning: 1 row left out: no answer (the last message is not the assistant's)", lines);
        Assert.Contains("Warning: 1 row left out: the cut at the maximum length took all of the answer", lines);
        Assert.Contains("Warning: 1 row with the answer cut short at the maximum length", lines);
        Assert.Contains(lines, line => line.StartsWith("Info: LoRA of rank 4 on 27 modules (", StringComparison.Ordinal));
        Assert.Equal(2, lines.Count(line => line.StartsWith("Info: step ", StringComparison.Ordinal)));
    }

    [Fact]
    public void Data_of_which_no_row_can_be_trained_is_an_error_that_says_why()
    {
        IDataView data = TinyChat.Unanswered(_ml, "What is 1 plus 1?", "What is 1 plus 2?");
        var error = Assert.Throws<TrainingException>(() => Fit(TinyChat.Lora, data));
        Assert.Contains("None of the 2 rows can be trained on: 2 have no answer", error.Message);
        Assert.Contains("There are no rows to train on",
            Assert.Throws<TrainingException>(() => Fit(TinyChat.Lora, _ml.Data.LoadChatFromEnumerable(Array.Empty<string>()))).Message);
    }

    [Fact]
    public void A_row_that_cannot_be_read_is_named_by_Fit()
    {
        IDataView data = _ml.Data.LoadChatFromEnumerable([TinyChat.Row("x"), "{}", TinyChat.Row("y")]);
        Assert.Equal(1, Assert.Throws<ChatDataException>(() => Fit(TinyChat.Lora, data)).Row);
    }

    [Fact]
    public void Full_fine_tuning_leaves_a_checkpoint_in_its_folder_that_the_saved_model_finds_and_the_base_alone()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string baseFingerprint = CheckpointFingerprint.Compute(TinyChat.Checkpoint);
        IDataView data = TinyChat.Questions(_ml, 4);
        string[] answers;
        FineTuneOptions options = TinyChat.Lora with { Lora = null, OutputFolder = folder.File("full") };
        using (TransformerChain<DiffusionGemmaTransformer> model = TinyChat.Preparation(_ml)
            .Append(_ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options, TinyChat.Quick)).Fit(data))
        {
            Assert.Null(model.LastTransformer.Adapter);
            Assert.Throws<InvalidOperationException>(() => model.LastTransformer.SaveAdapter(folder.File("adapter")));
            answers = Views.Dump(model.Transform(data), "Response", "ResponseIds");
            _ml.Model.Save(model, data.Schema, folder.File("model.zip"));
        }
        Assert.Equal(baseFingerprint, CheckpointFingerprint.Compute(TinyChat.Checkpoint));
        Assert.NotEqual(baseFingerprint, CheckpointFingerprint.Compute(folder.File("full")));
        Assert.Equal(answers, Views.Dump(_ml.Model.Load(folder.File("model.zip"), out _).Transform(data), "Response", "ResponseIds"));
    }

    [Fact]
    public void Options_are_checked_before_anything_is_read()
    {
        DiffusionGemmaCatalog gemma = _ml.Transforms.DiffusionGemma;
        Assert.Contains("OutputFolder",
            Assert.Throws<ArgumentException>(() => gemma.FineTune(TinyChat.Checkpoint, new FineTuneOptions())).Message);
        Assert.Contains("would be lost", Assert.Throws<ArgumentException>(
            () => gemma.FineTune(TinyChat.Checkpoint, new FineTuneOptions
            {
                OutputFolder = TinyChat.Checkpoint
                + Path.DirectorySeparatorChar
            })).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora with { LearningRate = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, batchSize: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => gemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora,
            new GenerationOptions { MaxDenoisingSteps = 0 }));
        Assert.Throws<InvalidConfigurationException>(() => gemma.FineTune("nowhere", TinyChat.Lora));
    }

    [Fact]
    public void A_target_that_matches_nothing_and_a_folder_that_cannot_be_written_stop_it_before_training()
    {
        Assert.Contains("w_proj", Assert.ThrowsAny<ArgumentException>(() =>
            Fit(TinyChat.Lora with { Lora = new LoraOptions { Targets = ["w_proj"] } }, TinyChat.Questions(_ml, 4))).Message);
        using TemporaryFolder folder = Fixtures.Temporary();
        File.WriteAllText(folder.File("file"), "");
        Assert.Contains("cannot be written", Assert.Throws<IOException>(
            () => Fit(TinyChat.Lora with { Lora = null, OutputFolder = Path.Combine(folder.File("file"), "below") },
                TinyChat.Questions(_ml, 4))).Message);
    }

    [Fact]
    public void It_can_be_cancelled_between_steps()
    {
        using var source = new CancellationTokenSource();
        IDataView data = TinyChat.Questions(_ml, 4);
        IDataView packed = TinyChat.Preparation(_ml).Fit(data).Transform(data);
        int steps = 0;
        var progress = new Immediate(_ =>
        {
            steps++;
            source.Cancel();
        });
        Assert.ThrowsAny<OperationCanceledException>(
            () => _ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, TinyChat.Lora, progress: progress, cancellation: source.Token)
                .Fit(packed));
        Assert.Equal(1, steps);
    }

    private DiffusionGemmaTransformer Fit(FineTuneOptions options, IDataView data) =>
        TinyChat.Preparation(_ml).Append(_ml.Transforms.DiffusionGemma.FineTune(TinyChat.Checkpoint, options)).Fit(data).LastTransformer;

    private sealed class Immediate(Action<StepRecord> report) : IProgress<StepRecord>
    {
        public void Report(StepRecord value) => report(value);
    }
}
