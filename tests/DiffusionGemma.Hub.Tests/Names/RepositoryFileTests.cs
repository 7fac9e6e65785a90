namespace DiffusionGemma;

public sealed class RepositoryFileTests
{
    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("../x")]
    [InlineData("a/../../x")]
    [InlineData("a/./x")]
    [InlineData("/etc/passwd")]
    [InlineData("a//b")]
    [InlineData("a/")]
    [InlineData("a\\..\\b")]
    [InlineData("C:/x")]
    [InlineData("c:x")]
    [InlineData("file.txt:stream")]
    [InlineData("a\0b")]
    [InlineData("a\nb")]
    [InlineData(".. /x")]
    [InlineData("... /x")]
    public void ANameThatLeadsElsewhereIsRefused(string name)
    {
        HubException error = Assert.Throws<HubException>(() => RepositoryFile.Below("folder", name));
        Assert.Equal(HubError.Refused, error.Error);
        Assert.DoesNotContain('\0', error.Message);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData(".gitattributes")]
    [InlineData("a/b.c/d e.txt")]
    [InlineData("..a/b..")]
    [InlineData("日本/x")]
    public void OtherNamesBecomePaths(string name) =>
        Assert.Equal(Path.Combine(["folder", .. name.Split('/')]), RepositoryFile.Below("folder", name));
}
