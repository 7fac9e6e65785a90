using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Each error names the row, the option or the step, and leaves the model as it was.</summary>
public class FineTunerErrorTests : TorchTest
{
    private readonly DiffusionGemmaModel _model =
        DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);

    public static TheoryData<string, string> Options() => new()
    {
        { "MaxSteps", "0" }, { "Epochs", "0" }, { "GlobalBatchSize", "0" }, { "LearningRate", "0" }, { "LearningRate", "NaN" },
            { "WarmupSteps", "-1" },
        { "Optimizer.InitialLearningRate", "-1" }, { "Optimizer.InitialLearningRate", "1" }, { "Optimizer.MinLearningRate", "1" },
        { "Optimizer.MinLearningRate", "NaN" }, { "Optimizer.DecayFraction", "0" }, { "Optimizer.DecayFraction", "1.5" },
        { "Optimizer.Beta1", "1" },
        { "Optimizer.Beta2", "-0.1" }, { "Optimizer.AdamEpsilon", "0" }, { "Optimizer.AdamEpsilon", "Infinity" },
        { "Optimizer.WeightDecay", "-1" },
        { "Optimizer.WeightDecay", "Infinity" }, { "Optimizer.MaxGradientNorm", "0" }, { "Optimizer.MaxGradientNorm", "NaN" },
        { "Objective.EncoderLossWeight", "-1" }, { "Objective.EncoderLossWeight", "Infinity" },
        { "Objective.SelfConditioningProbability", "1.5" },
        { "Objective.NoiseFloor", "NaN" }, { "Run.MicroBatchSize", "-1" }, { "Run.MicroBatchTokens", "0" },
        { "Parallel.ExpertParallel", "0" },
        { "Parallel.Workers", "0" },
    };

    [Theory]
    [MemberData(nameof(Options))]
    public void An_option_out_of_range_is_named(string name, string value)
    {
        var options = new FineTuneOptions();
        object group = options;
        string[] path = name.Split('.');
        foreach (string part in path[..^1]) group = group.GetType().GetProperty(part)!.GetValue(group)!;
        var property = group.GetType().GetProperty(path[^1])!;
        Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        property.SetValue(group, Convert.ChangeType(value, type, System.Globalization.CultureInfo.InvariantCulture));
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => FineTuner.Fit(_model, TinyRows.Make(8), options));
        Assert.Equal($"FineTuneOptions.{name}", error.ParamName);
        Assert.Contains($"FineTuneOptions.{name} must", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_faults_of_the_options_stand_in_one_message()
    {
        FineTuneOptions options = TinyRows.Options with
        {
            MaxSteps = 0,
            Lora = new LoraOptions { Rank = 0, Dropout = 2, Targets = [] },
            Optimizer = new() { Beta1 = 1 },
            Devices = [CPU, new Device(TorchSharp.DeviceType.CUDA, 0)],
            Evaluation = new() { Examples = [], EverySteps = 0 },
            Checkpoints = new() { Folder = "", Keep = 0 },
        };
        string message = Assert.Throws<ArgumentException>(() => FineTuner.Fit(_model, TinyRows.Make(8), options)).Message;
        Assert.StartsWith("9 options are at fault:", message, StringComparison.Ordinal);
        string[] faults =
        [
            "LoraOptions.Rank must be at least 1. It is 0.", "LoraOptions.Dropout must be in [0,1). It is 2.",
            "LoraOptions.Targets is empty",
            "FineTuneOptions.MaxSteps must be", "FineTuneOptions.Devices must be of one kind: all CPU, or all CUDA. It is cpu",
            "FineTuneOptions.Optimizer.Beta1 must", "FineTuneOptions.Checkpoints.Folder must", "FineTuneOptions.Checkpoints.Keep must",
            "FineTuneOptions.Evaluation.EverySteps must",
        ];
        Assert.All(faults, fault => Assert.Contains(fault, message, StringComparison.Ordinal));
    }

    [Fact]
    public void Epochs_and_warm_up_that_are_left_out_suit_the_run()
    {
        FineTuneOptions options = TinyRows.Options with { Epochs = null, WarmupSteps = null, MaxSteps = null };
        Assert.Equal(2, FineTuner.StepCount(8, options));                                       // one epoch
        Assert.Equal(30, FineTuner.StepCount(8, options with { MaxSteps = 30 }));               // as many epochs as it takes
        Assert.Equal(6, FineTuner.StepCount(8, options with { MaxSteps = 30, Epochs = 3 }));
        Assert.Equal([0, 2, 25, 25], new[] { 9, 25, 26, 900 }.Select(options.WarmupOf));

        List<string> notices = [];
        FineTuneOptions Noticed(FineTuneOptions given) =>
            given with { Run = given.Run with { Notices = new ImmediateProgress<string>(notices.Add) } };
        using (FineTuneResult whole = FineTuner.Fit(_model, TinyRows.Make(8), Noticed(options with { MaxSteps = 3, Lora = new() })))
            Assert.Equal((3, 0), (whole.History.Count, whole.Notices.Count));
        _model.Adapter = null;
        using FineTuneResult cut =
            FineTuner.Fit(_model, TinyRows.Make(8), Noticed(options with { MaxSteps = 3, Epochs = 1, Lora = new() }));
        Assert.Equal(2, cut.History.Count);
        Assert.StartsWith(
            "FineTuneOptions.Epochs is 1: the run ends after 2 of the 3 steps of FineTuneOptions.MaxSteps.", Assert.Single(cut.Notices),
            StringComparison.Ordinal);
        Assert.Equal(cut.Notices, notices);
    }

    [Fact]
    public void Every_option_at_its_default_is_in_range() => new FineTuneOptions().Validate();

    [Fact]
    public void Too_few_rows_and_a_warm_up_too_long_are_named()
    {
        Refused("no rows", []);
        Refused("3 rows do not fill one global batch of 4", TinyRows.Make(3));
        Refused("WarmupSteps is 10, but the run has only 10 steps", TinyRows.Make(40), TinyRows.Options with { WarmupSteps = 10 });
        Refused("1 epoch)", TinyRows.Make(8), TinyRows.Options with { WarmupSteps = 2, Epochs = 1, MaxSteps = null });
        Refused("WarmupSteps is 2, but the run has only 2 steps", TinyRows.Make(8), TinyRows.Options with { WarmupSteps = 2, Epochs = 1 });
    }

    [Fact]
    public void A_row_that_cannot_be_trained_is_named()
    {
        void RefusedRow(string message, Func<TrainingExample, TrainingExample> change)
        {
            List<TrainingExample> rows = [.. TinyRows.Make(8)];
            rows[5] = change(rows[5]);
            Assert.Equal(5, Refused($"Row 5 {message}", rows).Row);
        }
        RefusedRow("has an id outside the vocabulary of 128", r => r with { InputIds = [.. r.InputIds[..^1], 128] });
        RefusedRow("has an id outside the vocabulary of 128", r => r with { InputIds = [-1, .. r.InputIds[1..]] });
        RefusedRow("has no supervised token", r => r with { LossMask = new bool[r.LossMask.Length] });
        RefusedRow($"has {TinyRows.Make(8)[5].InputIds.Length} ids but 3 mask values", r => r with { LossMask = [true, true, true] });
        RefusedRow("has its first canvas at -1", r => r with { PrefixLength = -1 });
        RefusedRow("has its first canvas at 999", r => r with { PrefixLength = 999 });
        RefusedRow("has a padded length of 2", r => r with { PaddedLength = 2 });
        RefusedRow("has 1 tokens, too few", _ => new TrainingExample([5], [true], 0, 8));
        RefusedRow("has 513 tokens, more than the model's 512 positions", _ =>
            new TrainingExample(new int[513], [.. Enumerable.Repeat(true, 513)], 0, 513));
    }

    [Fact]
    public void A_target_that_matches_nothing_is_named_and_leaves_no_adapter()
    {
        var options = TinyRows.Options with { Lora = new LoraOptions { Targets = ["q_proj", "query"] } };
        Assert.Contains("'query'", Assert.Throws<ArgumentException>(() => FineTuner.Fit(_model, TinyRows.Make(8), options)).Message,
            StringComparison.Ordinal);
        Assert.Null(_model.Adapter);
    }

    [Fact]
    public void Full_fine_tuning_under_an_adapter_is_refused()
    {
        using LoraAdapter adapter = LoraAdapter.Create(_model, new LoraOptions(), seed: 1);
        _model.Adapter = adapter;
        Refused("The model has an adapter", TinyRows.Make(40));
        Assert.Same(adapter, _model.Adapter);
    }

    [Theory]
    [InlineData("model.decoder.self_conditioning.down_proj.weight", "diffusion loss", true)]
    [InlineData("model.decoder.layers.1.mlp.up_proj.weight", "diffusion loss", false)]
    [InlineData("model.encoder.language_model.layers.1.layer_scalar", "encoder loss", false)]
    public void A_loss_that_is_no_number_names_step_term_and_rows(string broken, string term, bool conditioned)
    {
        using (no_grad()) _model.Stack.Parameters[broken][0] = double.NaN;
        var before = _model.Stack.Embedding.Tensor!.clone();
        FineTuneOptions options =
            TinyRows.Options with
            {
                Objective = TinyRows.Options.Objective with { SelfConditioningProbability = conditioned ? 1 : 0 },
                Run = TinyRows.Options.Run with { Shuffle = false }
            };
        TrainingException error = Refused("Step 1: the", TinyRows.Make(40), options);
        Assert.Equal(0, error.Step);
        Assert.Contains($"the {term} is not a finite number (rows 0, 1, 2, 3)", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, Largest(_model.Stack.Embedding.Tensor!, before));
        Assert.All(_model.Stack.Parameters.Values, p => Assert.False(p.requires_grad));
    }

    /// <summary>The encoder's loss is a finite number, but its gradient times this weight is beyond float32.</summary>
    [Fact]
    public void A_gradient_that_is_no_number_is_named()
    {
        var before = _model.Stack.Embedding.Tensor!.clone();
        FineTuneOptions options = TinyRows.Options with
        {
            Objective = TinyRows.Options.Objective with { EncoderLossWeight = 1e39 },
            Run = TinyRows.Options.Run with { Shuffle = false }
        };
        string message = Refused("Step 1: the", TinyRows.Make(40), options).Message;
        Assert.Contains("the gradient norm is not a finite number (rows 0, 1, 2, 3)", message, StringComparison.Ordinal);
        Assert.Equal(0, Largest(_model.Stack.Embedding.Tensor!, before));
    }

    [Fact]
    public void A_run_that_diverges_names_its_step()
    {
        FineTuneOptions options = TinyRows.Options with
        {
            LearningRate = 1e30,
            Optimizer = TinyRows.Options.Optimizer with { MinLearningRate = 0 },
            MaxSteps = 10
        };
        string message = Refused("is not a finite number", TinyRows.Make(40), options).Message;
        Assert.Matches(@"^Step [1-9]: the (diffusion loss|encoder loss|gradient norm) ", message);
    }

    public override void Dispose()
    {
        _model.Dispose();
        base.Dispose();
    }

    private TrainingException Refused(string message, IReadOnlyList<TrainingExample> rows, FineTuneOptions? options = null)
    {
        var error = Assert.Throws<TrainingException>(() => FineTuner.Fit(_model, rows, options ?? TinyRows.Options));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        return error;
    }
}
