using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>One line a step: loss, learning rate, seconds, tokens a second.</summary>
internal sealed class StepPrinter : IProgress<StepRecord>
{
    public void Report(StepRecord value) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"step {value.Step + 1,4}  loss {value.Loss:F4}  diffusion {value.DiffusionLoss:F4}  lr {value.LearningRate:0.00e+00}  "
            + $"{value.Seconds:F2} s  {value.TokensPerSecond:F0} tok/s"));
}
