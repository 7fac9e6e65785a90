namespace DiffusionGemma.Curves;

/// <summary>Moving averages.</summary>
public sealed class SmootherTests
{
    [Fact]
    public void A_constant_stays_constant_from_its_first_value_on() =>
        Assert.All(Smoother.Smooth([5, 5, 5, 5], 0.9), value => Assert.Equal(5, value, 12));

    [Fact]
    public void Each_value_weighs_less_with_its_distance() =>
        Assert.Equal([1, (0.5 * 1 + 4) / 1.5, (0.25 * 1 + 0.5 * 4 + 2) / 1.75], Smoother.Smooth([1, 4, 2], 0.5));

    [Fact]
    public void Weight_0_changes_nothing() => Assert.Equal([1, 4, 2], Smoother.Smooth([1, 4, 2], 0));

    [Fact]
    public void Values_that_are_not_finite_do_not_spoil_those_behind_them() =>
        Assert.Equal([2, double.NaN, double.PositiveInfinity, 2], Smoother.Smooth([2, double.NaN, double.PositiveInfinity, 2], 0.9));
}
