namespace DiffusionGemma;

public sealed class NearestNameTests
{
    [Theory]
    [InlineData("mian", " Did you mean 'main'?")]
    [InlineData("MAIN", " Did you mean 'main'?")]
    [InlineData("socratc", " Did you mean 'socratic'?")]
    [InlineData("something else", "")]
    public void TheNearestNameIsOfferedWhereOneIsNear(string name, string hint) =>
        Assert.Equal(hint, NearestName.Hint(name, ["main", "socratic"]));
}
