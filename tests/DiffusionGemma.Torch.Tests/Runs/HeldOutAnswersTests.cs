using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Answers at evaluations: those of the weights as they are, and nothing else in the run changes.</summary>
public class HeldOutAnswersTests : TorchTest
{
    private static readonly EvaluationOptions HeldOut = new() { Examples = TinyRows.Make(6, seed: 9), EverySteps = 4, Answers = 3 };

    private static readonly FineTuneOptions Options = TinyRows.Options with { Lora = new LoraOptions(), MaxSteps = 6, Seed = 7 };

    [Fact]
    public void Losses_are_those_of_a_run_without_answers_and_answers_those_of_the_weights()
    {
        using DiffusionGemmaModel model = Load(), other = Load();
        using FineTuneResult with = FineTuner.Fit(model, TinyRows.Make(24), Options with { Evaluation = HeldOut });
        using FineTuneResult without = FineTuner.Fit(other, TinyRows.Make(24), Options with { Evaluation = HeldOut with { Answers = 0 } });
        Assert.Equal(without.History.Select(step => step.Loss), with.History.Select(step => step.Loss));
        Assert.Equal(without.History.Select(step => step.GradientNorm), with.History.Select(step => step.GradientNorm));
        Assert.Equal(without.Evaluations.Select(e => e.DiffusionLoss), with.Evaluations.Select(e => e.DiffusionLoss));
        Assert.All(without.Evaluations, evaluation => Assert.Empty(evaluation.Answers));
        Assert.Equal([4, 6], with.Evaluations.Select(evaluation => evaluation.Step));

        Assert.All(with.Evaluations, evaluation => Assert.Equal([0, 1, 2], evaluation.Answers.Select(answer => answer.Row)));
        foreach (EvaluationAnswer answer in with.Evaluations[^1].Answers)
        {
            TrainingExample row = HeldOut.Examples[answer.Row];
            int[] prompt = row.InputIds[..row.PrefixLength], expected = [.. row.InputIds[row.PrefixLength..].TakeWhile(id => id != 1)];
            var options = new GenerationOptions { Seed = 7, MaxNewTokens = row.CanvasCount(TinyRows.Canvas) * TinyRows.Canvas };
            Assert.Equal(prompt, answer.PromptIds);
            Assert.Equal(expected, answer.ExpectedIds.Take(expected.Length));
            Assert.InRange(answer.ExpectedIds.Count, expected.Length, expected.Length + 1);
            Assert.Equal(CanvasGenerator.Generate(model, [prompt], options)[0].Ids, answer.ResponseIds);
            Assert.Equal((null, null, null, null), (answer.Prompt, answer.Response, answer.IsMatch, answer.Error));
        }
        model.Adapter = other.Adapter = null;
    }

    [Fact]
    public void A_resumed_run_has_the_answers_of_one_that_was_never_stopped()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        FineTuneOptions options = Options with { Evaluation = HeldOut with { EverySteps = 2, ReadAnswer = Spell } };
        string[] whole = Answers(options), losses = [.. _losses];
        options = options with
        {
            Checkpoints = new RunCheckpointOptions { Folder = folder.Path, EverySteps = 1000, Resume = RunCheckpointOptions.Latest },
        };
        using var stop = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => Answers(options, new ImmediateProgress<StepRecord>(step =>
        {
            if (step.Step == 3) stop.Cancel();
        }), stop.Token));
        // Other numbers of answers are no other run.
        Assert.Equal(whole, Answers(options));
        Assert.Equal(losses, _losses);
        Assert.Equal(whole, Answers(options with { Evaluation = options.Evaluation! with { Answers = 1 } }));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Ranks_take_the_rows_in_turn_unless_experts_are_split(int expertParallel)
    {
        Assert.SkipUnless(TestDevice.Current.type == TorchSharp.DeviceType.CPU, "Ranks on one GPU are not meant.");
        FineTuneOptions options = Options with { Evaluation = HeldOut with { ReadAnswer = Spell }, MaxSteps = 4 };
        string[] one = Answers(options);
        var parallel = new ParallelismOptions { ExpertParallel = expertParallel };
        string[] two = Answers(options with { Devices = Device.Cpu(2), Parallel = parallel });
        if (expertParallel == 1) Assert.Equal(one, two);
        else Assert.Empty(two);
        Assert.Equal(
            expertParallel == 2, _notices.Any(notice => notice.Contains("Evaluation.Answers is 3, but experts are split over 2")));
    }

    [Fact]
    public void Rows_that_cannot_be_answered_say_why()
    {
        using DiffusionGemmaModel model = Load();
        int positions = model.Config.MaxPositionEmbeddings;
        int[] ids = [.. Enumerable.Range(0, positions).Select(i => 4 + (i % 90))];
        TrainingExample[] rows =
        [
            new([5, 6, 7, 8], [true, true, true, true], 0, 8),
            new(ids, [.. ids.Select((_, i) => i >= positions - 3)], positions - 3, positions),
        ];
        var options = new EvaluationOptions { Examples = rows, Answers = 5 };
        EvaluationAnswer[] answers = [.. new HeldOutAnswers(model, options, 1, RankGroups.Single(CPU)).Run(0, default)];
        Assert.Equal(
            ["The row has no prompt.", "The prompt leaves no room for an answer within the model's positions."],
            answers.Select(answer => answer.Error));

        using (no_grad()) model.Stack.Parameters["model.decoder.norm.weight"].fill_(double.NaN);
        options = HeldOut with { Answers = 2, ReadAnswer = answer => answer with { Response = "read" } };
        answers = [.. new HeldOutAnswers(model, options, 1, RankGroups.Single(CPU)).Run(0, default)];
        Assert.All(answers, answer => Assert.Equal("The model's predictions are not finite numbers.", answer.Error));
        Assert.All(answers, answer => Assert.Equal("read", answer.Response));
        Assert.All(answers, answer => Assert.Empty(answer.ResponseIds));
    }

    [Fact]
    public void A_negative_number_is_refused() =>
        Assert.Contains("FineTuneOptions.Evaluation.Answers", Assert.ThrowsAny<ArgumentException>(() =>
        {
            using DiffusionGemmaModel model = Load();
            FineTuner.Fit(model, TinyRows.Make(8), Options with { Evaluation = HeldOut with { Answers = -1 } });
        }).Message, StringComparison.Ordinal);

    private readonly List<string> _losses = [], _notices = [];

    private string[] Answers(FineTuneOptions options, IProgress<StepRecord>? progress = null, CancellationToken cancellation = default)
    {
        using DiffusionGemmaModel model = Load();
        _losses.Clear();
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(24), options, progress, cancellation);
        model.Adapter = null;
        _losses.AddRange(result.History.Select(step => step.Loss.ToString("R")));
        _notices.AddRange(result.Notices);
        return [.. result.Evaluations.SelectMany(
            evaluation => evaluation.Answers.Select(answer => $"{evaluation.Step}: {answer.Response}"))];
    }

    private static EvaluationAnswer Spell(EvaluationAnswer answer) => answer with { Response = string.Join(' ', answer.ResponseIds) };

    private static DiffusionGemmaModel Load() => DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), CPU, ScalarType.Float32);
}
