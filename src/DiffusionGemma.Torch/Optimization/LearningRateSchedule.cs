namespace DiffusionGemma;

/// <summary>
/// Learning rates of a run: a linear warm-up from <paramref name="Initial"/>, then a decay to <paramref name="Minimum"/>.
/// </summary>
/// <param name="Initial">The rate of step 0 while there is a warm-up.</param>
/// <param name="Peak">The rate at the end of the warm-up.</param>
/// <param name="Minimum">The rate from step <paramref name="TotalSteps"/> on.</param>
/// <param name="WarmupSteps">Less than <paramref name="TotalSteps"/>.</param>
/// <param name="TotalSteps">Steps of the run.</param>
/// <param name="Decay">The decay after the warm-up.</param>
/// <param name="DecayFraction">The part of the run, from its end, over which a stable rate decays.</param>
internal sealed record LearningRateSchedule(
    double Initial, double Peak, double Minimum, int WarmupSteps, int TotalSteps,
    LearningRateDecay Decay = LearningRateDecay.Cosine, double DecayFraction = 0.2)
{
    public double Rate(int step)
    {
        if (WarmupSteps > 0 && step <= WarmupSteps) return Initial + (Peak - Initial) * step / WarmupSteps;
        if (Decay == LearningRateDecay.Constant) return Peak;
        if (step > TotalSteps) return Minimum;
        int start = Decay == LearningRateDecay.WarmupStableDecay
            ? Math.Max(WarmupSteps, TotalSteps - (int)Math.Ceiling(DecayFraction * TotalSteps))
            : WarmupSteps;
        if (step <= start) return Peak;
        double progress = (double)(step - start) / (TotalSteps - start);
        double remaining = Decay == LearningRateDecay.Cosine ? (1 + Math.Cos(Math.PI * progress)) / 2 : 1 - progress;
        return Minimum + (Peak - Minimum) * remaining;
    }
}
