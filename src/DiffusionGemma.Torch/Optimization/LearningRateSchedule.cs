namespace DiffusionGemma;

/// <summary>Linear warm-up from <paramref name="Initial"/>, then half a cosine down to <paramref name="Minimum"/> (both recipes of NeMo AutoModel).</summary>
/// <param name="Initial">The rate of step 0 while there is a warm-up.</param>
/// <param name="Peak">The rate at the end of the warm-up.</param>
/// <param name="Minimum">The rate from step <paramref name="TotalSteps"/> on.</param>
/// <param name="WarmupSteps">Less than <paramref name="TotalSteps"/>.</param>
/// <param name="TotalSteps">Steps of the run.</param>
internal sealed record LearningRateSchedule(double Initial, double Peak, double Minimum, int WarmupSteps, int TotalSteps)
{
    public double Rate(int step)
    {
        if (WarmupSteps > 0 && step <= WarmupSteps) return Initial + (Peak - Initial) * step / WarmupSteps;
        if (step > TotalSteps) return Minimum;
        double progress = (double)(step - WarmupSteps) / (TotalSteps - WarmupSteps);
        return Minimum + (Peak - Minimum) * (1 + Math.Cos(Math.PI * progress)) / 2;
    }
}
