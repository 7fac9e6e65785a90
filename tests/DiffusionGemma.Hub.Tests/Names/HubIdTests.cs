namespace DiffusionGemma;

public sealed class HubIdTests
{
    [Theory]
    [InlineData("google/diffusiongemma-26B-A4B-it", "google/diffusiongemma-26B-A4B-it", "main")]
    [InlineData("org/name@v1.0", "org/name", "v1.0")]
    [InlineData("org/name@refs/pr/3", "org/name", "refs/pr/3")]
    [InlineData("a/b", "a/b", "main")]
    [InlineData("org_1/na.me-2@0123456789abcdef0123456789abcdef01234567", "org_1/na.me-2", "0123456789abcdef0123456789abcdef01234567")]
    public void AnIdIsOrgAndNameWithOrWithoutARevision(string text, string repository, string revision)
    {
        HubId id = HubId.Parse(text);
        Assert.Equal((repository, revision), (id.Repository, id.Revision));
        Assert.Equal(text, id.ToString());
        Assert.Equal(revision.Length == 40, id.IsCommit);
    }

    [Theory]
    [InlineData("")]
    [InlineData("name")]
    [InlineData("org/name/more")]
    [InlineData("org/")]
    [InlineData("/name")]
    [InlineData("./name")]
    [InlineData("../name")]
    [InlineData("org/..")]
    [InlineData("org/na..me")]
    [InlineData("org/na--me")]
    [InlineData("or--g/name")]
    [InlineData("org/name.git")]
    [InlineData("org/-name")]
    [InlineData("org/name-")]
    [InlineData("~/name")]
    [InlineData("C:/name")]
    [InlineData("org\\name")]
    [InlineData("org/na me")]
    [InlineData("org/name\n")]
    [InlineData("org/näme")]
    [InlineData("org/name@")]
    [InlineData("org/name@a..b")]
    [InlineData("org/name@../../x")]
    [InlineData("org/name@/x")]
    [InlineData("org/name@x/")]
    [InlineData("org/name@a//b")]
    [InlineData("org/name@.hidden")]
    [InlineData("org/name@a\\b")]
    [InlineData("org/name@a\0b")]
    [InlineData("org/name@a b")]
    [InlineData("org/name@a:b")]
    [InlineData("org/name@a@b")]
    [InlineData("org/name@main.lock")]
    [InlineData("org/name@main\n")]
    public void NothingElseIsAnId(string text)
    {
        Assert.False(HubId.TryParse(text, out _));
        Assert.False(HubRepository.IsId(text));
        Assert.Contains("org/name@revision", Assert.Throws<ArgumentException>(() => HubId.Parse(text)).Message);
    }

    [Fact]
    public void NamesAreAsLongAsTheHubAllows()
    {
        Assert.True(HubId.TryParse($"org/{new string('n', 96)}", out _));
        Assert.False(HubId.TryParse($"org/{new string('n', 97)}", out _));
        Assert.False(HubId.TryParse(null, out _));
    }

    [Fact]
    public void ASnapshotsFolderSaysItsId()
    {
        string commit = ServedRepository.FirstCommit;
        Assert.True(HubId.TryFromSnapshot(Path.Combine("cache", "models--org--name", "snapshots", commit), out HubId? id));
        Assert.Equal((HubKind.Model, "org/name", commit), (id.Kind, id.Repository, id.Revision));
        Assert.True(HubId.TryFromSnapshot(Path.Combine("cache", "datasets--org--name", "snapshots", commit)
            + Path.DirectorySeparatorChar, out id));
        Assert.Equal(HubKind.Dataset, id.Kind);
        Assert.Equal($"datasets/org/name@{commit}", id.ToString());
        Assert.False(HubId.TryFromSnapshot(Path.Combine("models--org--name", "snapshots", "main"), out _));
        Assert.False(HubId.TryFromSnapshot(Path.Combine("models--org", "snapshots", commit), out _));
        Assert.False(HubId.TryFromSnapshot(Path.Combine("models--org--name", "elsewhere", commit), out _));
        Assert.False(HubId.TryFromSnapshot("x", out _));
    }

    [Fact]
    public void AnotherRevisionIsCheckedToo()
    {
        HubId id = HubId.Parse("org/name");
        Assert.Equal("org/name@v2", id.At("v2").ToString());
        Assert.Throws<ArgumentException>(() => id.At("../../etc"));
        Assert.Equal(id, HubId.Parse("org/name@main"));
    }

    [Fact]
    public void AFolderOfTheSameSpellingIsNoId()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string spelling = $"org-{Guid.NewGuid():N}/name";
        Assert.True(HubRepository.IsId(spelling));
        Directory.CreateDirectory(spelling);
        try
        {
            Assert.False(HubRepository.IsId(spelling));
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(spelling)!, recursive: true);
        }
    }
}
