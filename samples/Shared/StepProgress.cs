using System.Globalization;

namespace DiffusionGemma.Samples;

/// <summary>Shows the steps of a run: how many are done, the loss, and the time left.</summary>
internal sealed class StepProgress(int total) : IProgress<StepRecord>, IDisposable
{
    private readonly Work _work = new("training", total);

    public void Report(StepRecord value) => _work.Report(value.Step + 1, string.Create(
        CultureInfo.InvariantCulture, $"loss {value.Loss:F3}  {value.TokensPerSecond:F0} tokens/s"));

    public void Dispose() => _work.Dispose();
}
