namespace DiffusionGemma;

public class FolderCirclesTests
{
    [Fact]
    public void AChainHasNone() => Assert.Empty(FolderCircles.Find([("A", "B"), ("B", "C"), ("A", "C")]));

    [Fact]
    public void ALongCircleIsFoundAndWhatOnlyLeadsToItIsNot() =>
        Assert.Equal([("A", "B"), ("B", "C"), ("C", "A")], FolderCircles.Find([("Start", "A"), ("A", "B"), ("B", "C"), ("C", "A"), ("C", "End")]));
}
