namespace DiffusionGemma;

public sealed class FilePatternsTests
{
    [Theory]
    [InlineData("main/train-*.parquet", "main/train-00000-of-00001.parquet", true)]
    [InlineData("main/train-*.parquet", "main/test-00000-of-00001.parquet", false)]
    [InlineData("main/train-*.parquet", "socratic/train-00000-of-00001.parquet", false)]
    [InlineData("main/train-*.parquet", "main/train-x/y.parquet", false)]
    [InlineData("main", "main/deeper/x.parquet", true)]
    [InlineData("main", "mainly/x.parquet", false)]
    [InlineData("main/x.parquet", "main/x.parquet", true)]
    [InlineData("main/x.parquet", "main/xyparquet", false)]
    [InlineData("*/x", "main/x", true)]
    [InlineData("*/x", ".git/x", false)]
    [InlineData("*.json", "config.json", true)]
    [InlineData("*.json", ".json", false)]
    [InlineData("*json", ".json", false)]
    [InlineData("*json", "json", true)]
    [InlineData(".*", ".gitattributes", true)]
    [InlineData("*", ".gitattributes", false)]
    [InlineData("*", "a/b", false)]
    [InlineData("**", "a/b/c", true)]
    [InlineData("**", "a/.b/c", false)]
    [InlineData("**/*.json", "config.json", true)]
    [InlineData("**/*.json", "a/b/config.json", true)]
    [InlineData("a/**/x", "a/x", true)]
    [InlineData("a/**/x", "a/b/c/x", true)]
    [InlineData("a/**/x", "b/x", false)]
    [InlineData("?.txt", "a.txt", true)]
    [InlineData("?.txt", "..txt", false)]
    [InlineData("?*.txt", "ab.txt", true)]
    [InlineData("?*.txt", ".b.txt", false)]
    [InlineData("a[1].txt", "a[1].txt", true)]
    [InlineData("A.txt", "a.txt", false)]
    public void PatternsAreThoseOfShells(string pattern, string file, bool taken) =>
        Assert.Equal(taken, new FilePatterns([pattern]).Take(file));

    [Fact]
    public void WithoutPatternsAllIsTaken()
    {
        Assert.True(new FilePatterns(null).Take(".hidden"));
        Assert.True(new FilePatterns([""]).Take("a/b"));
        Assert.True(new FilePatterns(["x", "*.json"]).Take("config.json"));
    }
}
