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
}
