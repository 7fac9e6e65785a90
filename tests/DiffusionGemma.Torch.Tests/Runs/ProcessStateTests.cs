using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>An application's own settings of libtorch: training and denoising draw and compute what they do without them.</summary>
[Collection(Alone.Name)]
public class ProcessStateTests : TorchTest
{
    private static readonly DiffusionGemmaConfig Config = DiffusionGemmaConfig.Load(Fixtures.Checkpoint("tiny-2layer"));

    public enum Setting
    {
        DoubleByDefault,
        BFloat16ByDefault,
        OtherDeviceByDefault,
        NoGradient,
        Inference,
        OuterScope,
        SeededByTheCaller,
    }

    [Fact]
    public void Losses_and_answers_are_the_same()
    {
        Outcome full = Work(withLora: false), lora = Work(withLora: true);
        Assert.All(Enum.GetValues<Setting>(), setting =>
        {
            using IDisposable applied = Apply(setting);
            Same(full, Work(withLora: false));
            Same(lora, Work(withLora: true));
        });
    }

    /// <summary>Two ranks and a held-out evaluation, whose draws have generators of their own.</summary>
    [Theory]
    [InlineData(Setting.DoubleByDefault)]
    [InlineData(Setting.OtherDeviceByDefault)]
    [InlineData(Setting.Inference)]
    public void Losses_on_two_ranks_are_the_same(Setting setting)
    {
        double[] Losses()
        {
            FineTuneOptions options = TinyRows.Options with
            {
                MaxSteps = 3,
                Lora = new LoraOptions { Rank = 2, Dropout = 0.1, Experts = true, SelfConditioning = true },
                Devices = [CPU, CPU],
                Evaluation = new EvaluationOptions { Examples = TinyRows.Make(4, seed: 9), EverySteps = 1 },
            };
            using FineTuneResult result = FineTuner.Fit(Fixtures.Checkpoint("tiny-2layer"), TinyRows.Make(12), options);
            return [.. result.History.Select(step => step.Loss), .. result.Evaluations.Select(evaluation => evaluation.DiffusionLoss)];
        }
        double[] expected = Losses();
        using (Apply(setting)) Assert.Equal(expected, Losses());
    }

    /// <summary>Trained values belong to the caller, not to a scope that the caller happened to have open.</summary>
    [Fact]
    public void What_was_trained_outlives_a_scope_around_it()
    {
        using DiffusionGemmaModel model =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        FineTuneResult result;
        using (NewDisposeScope())
            result = FineTuner.Fit(model, TinyRows.Make(8), TinyRows.Options with { MaxSteps = 2, Lora = new LoraOptions { Rank = 2 } });
        using (result)
        {
            using TemporaryFolder folder = Fixtures.Temporary();
            result.Adapter!.Save(folder.Path, "base");
            Assert.Equal(8, Answer(model).Length);
        }
    }

    private sealed record Outcome(double[] Losses, int[] Answer);

    private static void Same(Outcome expected, Outcome got)
    {
        Assert.Equal(expected.Losses, got.Losses);
        Assert.Equal(expected.Answer, got.Answer);
    }

    private static Outcome Work(bool withLora)
    {
        using DiffusionGemmaModel model =
            DiffusionGemmaModel.Load(Fixtures.Checkpoint("tiny-2layer"), TestDevice.Current, ScalarType.Float32);
        FineTuneOptions options = TinyRows.Options with
        {
            MaxSteps = 2,
            Lora = withLora ? new LoraOptions { Rank = 2, Dropout = 0.1, Experts = true, SelfConditioning = true } : null,
        };
        using FineTuneResult result = FineTuner.Fit(model, TinyRows.Make(8), options);
        return new Outcome([.. result.History.Select(step => step.Loss)], Answer(model));
    }

    private static int[] Answer(DiffusionGemmaModel model) =>
        CanvasGenerator.Generate(
            model, [new int[] { 2, 17, 18, 19 }],
            new GenerationOptions { MaxNewTokens = Config.CanvasLength, Seed = 4, EosTokenIds = [] })[0].Ids;

    private static IDisposable Apply(Setting setting)
    {
        switch (setting)
        {
            case Setting.DoubleByDefault: return Default(ScalarType.Float64);
            case Setting.BFloat16ByDefault: return Default(ScalarType.BFloat16);
            case Setting.OtherDeviceByDefault:
                Device own = get_default_device();
                set_default_device(META);                                                       // where no number can be read
                return new Restored(() => set_default_device(own));
            case Setting.NoGradient: return no_grad();
            case Setting.Inference: return inference_mode(true);
            case Setting.OuterScope: return NewDisposeScope();
            default:
                torch.random.manual_seed(1234);
                return new Restored(() => { });
        }
    }

    private static Restored Default(ScalarType dtype)
    {
        ScalarType own = get_default_dtype();
        set_default_dtype(dtype);
        return new Restored(() => set_default_dtype(own));
    }

    private sealed class Restored(Action restore) : IDisposable
    {
        public void Dispose() => restore();
    }
}
