using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma.Soak;

/// <summary>The pipeline that fine-tunes tiny-chat on sums.</summary>
internal static class ArithmeticPipeline
{
    /// <summary>A short run: an adapter, or all weights where there is a folder for them.</summary>
    public static FineTuneOptions Options(int steps, string? weightsFolder) => new()
    {
        Lora = weightsFolder is null ? new LoraOptions { Rank = 16, Alpha = 32 } : null,
        OutputFolder = weightsFolder,
        MaxSteps = steps,
        WarmupSteps = 0,
        LearningRate = 1e-3,
        Optimizer = new OptimizerOptions { MinLearningRate = 1e-4 },
    };

    /// <summary>The steps from messages to packed rows.</summary>
    public static EstimatorChain<CanvasPackingTransformer> Packing(MLContext ml)
    {
        DiffusionGemmaCatalog gemma = ml.Transforms.DiffusionGemma;
        string checkpoint = Fixtures.Checkpoint("tiny-chat");
        return gemma.TokenizeChat(checkpoint).Append(gemma.MaskResponse()).Append(gemma.PackCanvas(checkpoint, maxLength: 512));
    }

    /// <summary>The whole pipeline.</summary>
    public static EstimatorChain<DiffusionGemmaTransformer> FineTuning(
        MLContext ml, FineTuneOptions options, IProgress<StepRecord>? progress = null, CancellationToken cancellation = default) =>
        Packing(ml).Append(ml.Transforms.DiffusionGemma.FineTune(
            Fixtures.Checkpoint("tiny-chat"), options, progress: progress, cancellation: cancellation));
}
