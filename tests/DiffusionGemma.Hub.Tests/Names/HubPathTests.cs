namespace DiffusionGemma;

public sealed class HubPathTests
{
    [Theory]
    [InlineData("hf://datasets/openai/gsm8k/main/train-*.parquet", HubKind.Dataset, "openai/gsm8k", "main", "main/train-*.parquet")]
    [InlineData("hf://datasets/openai/gsm8k", HubKind.Dataset, "openai/gsm8k", "main", "")]
    [InlineData("hf://datasets/openai/gsm8k@v1/main", HubKind.Dataset, "openai/gsm8k", "v1", "main")]
    [InlineData("hf://datasets/openai/gsm8k@refs%2Fconvert%2Fparquet/main", HubKind.Dataset, "openai/gsm8k", "refs/convert/parquet",
        "main")]
    [InlineData("hf://org/name/folder/config.json", HubKind.Model, "org/name", "main", "folder/config.json")]
    public void AnAddressNamesRepositoryRevisionAndFiles(string text, HubKind kind, string repository, string revision, string path)
    {
        HubPath address = HubPath.Parse(text);
        Assert.Equal((kind, repository, revision, path), (address.Id.Kind, address.Id.Repository, address.Id.Revision, address.Path));
        Assert.Equal(text, address.ToString());
    }

    [Fact]
    public void TheHubsOwnReferencesMayBeWrittenPlainly()
    {
        Assert.Equal(HubPath.Parse("hf://datasets/o/n@refs%2Fconvert%2Fparquet/x"),
            HubPath.Parse("hf://datasets/o/n@refs/convert/parquet/x"));
        Assert.Equal("refs/pr/12", HubPath.Parse("hf://o/n@refs/pr/12").Id.Revision);
    }

    [Theory]
    [InlineData("https://datasets/a/b")]
    [InlineData("hf://")]
    [InlineData("hf://datasets/a")]
    [InlineData("hf://spaces/a/b/c")]
    [InlineData("hf://datasets/a/b/../../c")]
    [InlineData("hf://datasets/a/b//c")]
    [InlineData("hf://datasets/a/b/c\\d")]
    [InlineData("hf://datasets/a/b@../c/d")]
    public void AMalformedAddressIsAnErrorWithAnExample(string text) =>
        Assert.Contains("hf://datasets/openai/gsm8k", Assert.Throws<ArgumentException>(() => HubPath.Parse(text)).Message);
}
