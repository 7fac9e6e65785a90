namespace DiffusionGemma;

public sealed class NearestNameTests
{
    [Theory]
    [InlineData("mian", " Did you mean 'main'?")]
    [InlineData("MAIN", " Did you mean 'main'?")]
    [InlineData("socratc", " Did you mean 'socratic'?")]
    [InlineData("something else", "")]
    public void The_nearest_name_is_offered_where_one_is_near(string name, string hint) =>
        Assert.Equal(hint, NearestName.Hint(name, ["main", "socratic"]));
}
