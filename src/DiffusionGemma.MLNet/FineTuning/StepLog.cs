using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Logs one line a step, counted from 1. Runs on the training thread, so that a cancelled MLContext ends the run.</summary>
internal sealed class StepLog(IChannel log, IHost host, int steps, IProgress<StepRecord>? next) : IProgress<StepRecord>
{
    public void Report(StepRecord step)
    {
        FormattableString losses = $"loss {step.Loss:F4} (diffusion {step.DiffusionLoss:F4}, encoder {step.EncoderLoss:F4})";
        FormattableString rest =
            $"norm {step.GradientNorm:F3}  lr {step.LearningRate:E2}  {step.Seconds:F2} s  {step.TokensPerSecond:F0} tok/s";
        DiffusionGemmaEstimator.Info(log, $"step {step.Step + 1} of {steps}  {losses}  {rest}");
        next?.Report(step);
        host.CheckAlive();
    }
}
