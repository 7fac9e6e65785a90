using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace DiffusionGemma;

/// <summary>Reports every step to the process's meter and activity source.</summary>
internal sealed class TelemetryCallback : IRunCallback
{
    private static readonly Gauge<double> Loss = DiffusionGemmaTelemetry.Meter.CreateGauge<double>(
        "diffusiongemma.training.loss", "nat", "Losses of the last step a token, by the tag kind: total, diffusion, encoder.");

    private static readonly Gauge<double> GradientNorm = DiffusionGemmaTelemetry.Meter.CreateGauge<double>(
        "diffusiongemma.training.gradient_norm", description: "2-norm of the gradients of the last step, before clipping.");

    private static readonly Gauge<double> LearningRate = DiffusionGemmaTelemetry.Meter.CreateGauge<double>(
        "diffusiongemma.training.learning_rate", description: "Learning rate of the last step.");

    private static readonly Gauge<double> TokensPerSecond = DiffusionGemmaTelemetry.Meter.CreateGauge<double>(
        "diffusiongemma.training.tokens_per_second", "{token}/s", "Tokens of the last global batch over the step's time.");

    private static readonly Counter<long> Tokens = DiffusionGemmaTelemetry.Meter.CreateCounter<long>(
        "diffusiongemma.training.tokens", "{token}", "Tokens trained on: prompt, response and fill.");

    private static readonly Histogram<double> StepDuration = DiffusionGemmaTelemetry.Meter.CreateHistogram<double>(
        "diffusiongemma.training.step.duration", "s", "Time of a step.");

    private static readonly Histogram<double> WaitDuration = DiffusionGemmaTelemetry.Meter.CreateHistogram<double>(
        "diffusiongemma.training.wait.duration", "s", "The part of a step's time in which it waited for rows and draws.");

    public void AfterStep(RunProgress run, StepRecord record)
    {
        Loss.Record(record.Loss, Kind("total"));
        Loss.Record(record.DiffusionLoss, Kind("diffusion"));
        Loss.Record(record.EncoderLoss, Kind("encoder"));
        GradientNorm.Record(record.GradientNorm);
        LearningRate.Record(record.LearningRate);
        TokensPerSecond.Record(record.TokensPerSecond);
        Tokens.Add(record.Tokens);
        StepDuration.Record(record.Seconds);
        WaitDuration.Record(record.WaitSeconds);
        using Activity? step = DiffusionGemmaTelemetry.Activities.StartActivity(
            "diffusiongemma.step", ActivityKind.Internal, Activity.Current?.Context ?? default,
            startTime: DateTimeOffset.UtcNow - TimeSpan.FromSeconds(record.Seconds));
        step?.SetTag("diffusiongemma.step.number", record.Step + 1);
        step?.SetTag("diffusiongemma.step.loss", record.Loss);
        step?.SetTag("diffusiongemma.step.tokens", record.Tokens);
    }

    private static KeyValuePair<string, object?> Kind(string name) => new("kind", name);
}
