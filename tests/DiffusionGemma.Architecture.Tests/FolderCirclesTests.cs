namespace DiffusionGemma;

public class FolderCirclesTests
{
    [Fact]
    public void AChainHasNone() => Assert.Empty(FolderCircles.Find([("A", "B"), ("B", "C"), ("A", "C")]));

    [Fact]
    public void ALongCircleIsFoundAndWhatOnlyLeadsToItIsNot()
    {
        (string, string)[] circle = [("A", "B"), ("B", "C"), ("C", "A")];
        Assert.Equal(circle, FolderCircles.Find([("Start", "A"), .. circle, ("C", "End")]));
    }
}
