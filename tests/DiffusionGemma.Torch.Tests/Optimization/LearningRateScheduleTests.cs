namespace DiffusionGemma;

public class LearningRateScheduleTests
{
    [Theory]
    [InlineData(0, 0.0)]
    [InlineData(1, 0.25)]
    [InlineData(2, 0.5)]
    [InlineData(4, 1.0)]
    [InlineData(8, 0.55)]                                                                       // half way down the cosine
    [InlineData(6, 0.1 + 0.9 * 0.8535533905932737)]                                             // a quarter: (1 + cos 45°) / 2
    [InlineData(12, 0.1)]
    [InlineData(13, 0.1)]
    [InlineData(1000, 0.1)]
    public void Rises_linearly_and_falls_as_half_a_cosine(int step, double rate) =>
        Assert.Equal(rate, new LearningRateSchedule(Initial: 0, Peak: 1, Minimum: 0.1, WarmupSteps: 4, TotalSteps: 12).Rate(step), 1e-12);

    [Fact]
    public void Starts_where_it_is_told()
    {
        Assert.Equal(0.5, new LearningRateSchedule(0.5, 1, 0, 2, 8).Rate(0));
        Assert.Equal(0.75, new LearningRateSchedule(0.5, 1, 0, 2, 8).Rate(1));
        Assert.Equal(1, new LearningRateSchedule(0, 1, 0, WarmupSteps: 0, TotalSteps: 8).Rate(0));      // no warm-up: the peak at once
    }

    [Theory]
    [InlineData(LearningRateDecay.Linear, 4, 1.0)]
    [InlineData(LearningRateDecay.Linear, 8, 0.55)]
    [InlineData(LearningRateDecay.Linear, 6, 0.775)]
    [InlineData(LearningRateDecay.Linear, 12, 0.1)]
    [InlineData(LearningRateDecay.Constant, 2, 0.5)]
    [InlineData(LearningRateDecay.Constant, 12, 1.0)]
    [InlineData(LearningRateDecay.WarmupStableDecay, 9, 1.0)]                                   // the last quarter, 3 of 12 steps, decays
    [InlineData(LearningRateDecay.WarmupStableDecay, 10, 0.7)]
    [InlineData(LearningRateDecay.WarmupStableDecay, 12, 0.1)]
    [InlineData(LearningRateDecay.WarmupStableDecay, 20, 0.1)]
    public void Other_ways_down(LearningRateDecay decay, int step, double rate) =>
        Assert.Equal(
            rate, new LearningRateSchedule(0, 1, 0.1, WarmupSteps: 4, TotalSteps: 12, decay, DecayFraction: 0.25).Rate(step), 1e-12);
}
