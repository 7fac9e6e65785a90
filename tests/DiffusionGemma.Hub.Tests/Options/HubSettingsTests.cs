namespace DiffusionGemma;

public sealed class HubSettingsTests
{
    private static readonly string Home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile,
        Environment.SpecialFolderOption.DoNotVerify);

    [Fact]
    public void WithoutVariablesItIsThePublicHubAndTheCacheInTheHomeFolder()
    {
        HubSettings settings = With([]);
        Assert.Equal("https://huggingface.co/", settings.Endpoint.AbsoluteUri);
        Assert.Equal(Path.Combine(Home, ".cache", "huggingface", "hub"), settings.CacheFolder);
        Assert.False(settings.Offline);
    }

    [Fact]
    public void ThePythonClientsVariablesAreRead()
    {
        Assert.Equal(Full("/h/hub"), With(new() { ["HF_HOME"] = "/h", ["XDG_CACHE_HOME"] = "/x" }).CacheFolder);
        Assert.Equal(Full("/x/huggingface/hub"), With(new() { ["XDG_CACHE_HOME"] = "/x" }).CacheFolder);
        Assert.Equal(Full("/c"), With(new() { ["HF_HUB_CACHE"] = "/c", ["HF_HOME"] = "/h" }).CacheFolder);
        Assert.Equal(Path.Combine(Home, "models"), With(new() { ["HF_HUB_CACHE"] = "~/models" }).CacheFolder);
        Assert.Equal(Full("/data/hub"), With(new() { ["HF_HOME"] = "${ROOT}", ["ROOT"] = "/data" }).CacheFolder);
        Assert.Equal(Full("/data/x/hub"), With(new() { ["HF_HOME"] = "$ROOT/x", ["ROOT"] = "/data" }).CacheFolder);
        Assert.Equal("https://mirror.example/", With(new() { ["HF_ENDPOINT"] = "https://mirror.example/" }).Endpoint.AbsoluteUri);
        Assert.Equal("https://mirror.example/hub", With(new() { ["HF_ENDPOINT"] = "https://mirror.example/hub//" }).Endpoint.AbsoluteUri);
        Assert.Equal(With([]).CacheFolder, With(new() { ["HF_HOME"] = "", ["HF_HUB_CACHE"] = "" }).CacheFolder);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("true", true)]
    [InlineData("YES", true)]
    [InlineData("on", true)]
    [InlineData("0", false)]
    [InlineData("", false)]
    public void OfflineIsWhatThePythonClientTakesForTrue(string value, bool offline)
    {
        Assert.Equal(offline, With(new() { ["HF_HUB_OFFLINE"] = value }).Offline);
        Assert.False(new HubSettings(new HubOptions { Offline = false }, name => name == "HF_HUB_OFFLINE" ? "1" : null).Offline);
    }

    [Fact]
    public void TheTokenIsTheOptionsTheVariablesOrTheFiles()
    {
        using TemporaryFolder home = Fixtures.Temporary();
        Assert.Null(With(new() { ["HF_HOME"] = home.Path }).Token);
        File.WriteAllText(home.File("token"), "hf_file\n");
        Assert.Equal("hf_file", With(new() { ["HF_HOME"] = home.Path }).Token);
        File.WriteAllText(home.File("other"), "hf_other");
        Assert.Equal("hf_other", With(new() { ["HF_HOME"] = home.Path, ["HF_TOKEN_PATH"] = home.File("other") }).Token);
        Assert.Equal("hf_variable", With(new() { ["HF_HOME"] = home.Path, ["HF_TOKEN"] = " hf_variable " }).Token);
        Assert.Equal("hf_option", new HubSettings(new HubOptions { Token = "hf_option" }, _ => null).Token);
        Assert.Null(new HubSettings(new HubOptions { Token = "" }, name => name == "HF_TOKEN" ? "hf_variable" : null).Token);
    }

    [Fact]
    public void AMalformedTokenIsRefusedWithoutBeingRepeated()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() =>
            new HubSettings(new HubOptions { Token = "hf_secret\r\nX-Other: 1" }, _ => null));
        Assert.DoesNotContain("secret", error.Message);
    }

    [Theory]
    [InlineData("file:///etc")]
    [InlineData("huggingface.co")]
    [InlineData("https://user:secret@huggingface.co")]
    [InlineData("https://huggingface.co?x=secret")]
    public void AMalformedEndpointIsRefused(string endpoint) =>
        Assert.DoesNotContain("secret", Assert.Throws<ArgumentException>(() => With(new() { ["HF_ENDPOINT"] = endpoint })).Message);

    [Fact]
    public void OptionsOutOfRangeAreRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new HubSettings(new HubOptions { MaxConcurrentFiles = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new HubSettings(new HubOptions { MaxRetries = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new HubSettings(new HubOptions { Timeout = TimeSpan.Zero }));
    }

    [Fact]
    public void TheTokenIsInNoTextOfTheOptions()
    {
        var options = new HubOptions { Token = "hf_secret", Include = ["*.json"], Endpoint = new Uri("https://mirror.example") };
        Assert.DoesNotContain("hf_secret", options.ToString());
        Assert.Contains("Token = set", options.ToString());
        Assert.Contains("*.json", options.ToString());
        Assert.DoesNotContain("hf_secret", System.Text.Json.JsonSerializer.Serialize(options));
    }

    private static HubSettings With(Dictionary<string, string> variables) => new(null, variables.GetValueOrDefault);

    private static string Full(string path) => Path.GetFullPath(path);
}
