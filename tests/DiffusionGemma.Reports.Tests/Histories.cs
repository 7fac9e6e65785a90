namespace DiffusionGemma;

/// <summary>Records of runs that never were.</summary>
internal static class Histories
{
    public static StepRecord Step(int step, double loss) => new()
    {
        Step = step, Epoch = 0, Loss = loss, DiffusionLoss = loss * 0.7, EncoderLoss = loss * 0.3, GradientNorm = 1 + loss,
        LearningRate = 1e-3, Tokens = 100, Seconds = 0.5, PeakBytes = 1_000_000_000_000,
    };

    /// <summary>A loss that falls from 4 towards 1.</summary>
    public static StepRecord[] Falling(int steps) =>
        [.. Enumerable.Range(0, steps).Select(step => Step(step, 1 + 3 * Math.Exp(-step / 40.0)))];

    public static EvaluationRecord Evaluation(int step, double loss) => new()
    {
        Step = step, DiffusionLoss = loss, EncoderLoss = loss / 2,
        DiffusionLossByNoise = [.. Enumerable.Range(0, EvaluationRecord.NoiseLevels).Select(level => loss * (level + 1) / 5)],
    };
}
