using Microsoft.ML;

namespace DiffusionGemma.Samples;

/// <summary>Fine-tuning on typed rows.</summary>
internal static class TypedTraining
{
    /// <summary>Conversations to token ids.</summary>
    public static IEstimator<ITransformer> Tokens(MLContext ml, string checkpoint) =>
        ml.Transforms.DiffusionGemma.TokenizeChat(checkpoint).Append(ml.Transforms.DiffusionGemma.MaskResponse());

    /// <summary>Trains all weights: tiny-chat knows other words than these, and little else.</summary>
    public static DiffusionGemmaTransformer Train(MLContext ml, IDataView rows, TypedArguments arguments, AnswerOptions answers)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        var prepare = Tokens(ml, arguments.Checkpoint).Append(gemma.PackCanvas(arguments.Checkpoint, maxLength: 512));
        var options = new FineTuneOptions
        {
            Lora = null, OutputFolder = arguments.Out, MaxSteps = arguments.MaxSteps, Epochs = 1000, GlobalBatchSize = 8,
            WarmupSteps = Math.Min(20, arguments.MaxSteps / 4), LearningRate = 2e-3, Optimizer = new() { MinLearningRate = 1e-4 },
        };
        var progress = new Progress();
        return gemma.FineTune(arguments.Checkpoint, options, answers, progress)
            .Fit(prepare.Fit(rows).Transform(rows));
    }

    private sealed class Progress : IProgress<StepRecord>
    {
        public void Report(StepRecord value)
        {
            if ((value.Step + 1) % 25 == 0)
                Console.WriteLine(FormattableString.Invariant($"step {value.Step + 1,4}  loss {value.Loss:F3}"));
        }
    }
}
