namespace DiffusionGemma;

public class FolderCirclesTests
{
    [Fact]
    public void A_chain_has_no_circle() => Assert.Empty(FolderCircles.Find([("A", "B"), ("B", "C"), ("A", "C")]));

    [Fact]
    public void A_long_circle_is_found_without_the_arrows_that_lead_to_it()
    {
        (string, string)[] circle = [("A", "B"), ("B", "C"), ("C", "A")];
        Assert.Equal(circle, FolderCircles.Find([("Start", "A"), .. circle, ("C", "End")]));
    }
}
