namespace DiffusionGemma.Samples;

/// <summary>The small programs of samples/Examples, run on tiny data.</summary>
[Collection(Processes.OneByOne)]
public sealed class ExamplesTests
{
    private const string Project = "DiffusionGemma.Docs.Tests";

    /// <summary>Built beside these tests, with the same configuration and for the same system.</summary>
    private static string Program { get; } = Path.Combine(Fixtures.Root, "samples", "Examples",
        Path.GetRelativePath(Path.Combine(Fixtures.Root, "tests", Project), AppContext.BaseDirectory), "Examples.dll");

    [Fact]
    public async Task Every_example_runs()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string help = await Processes.DotnetAsync(folder.Path, Program, "--help");
        string[] names = [.. help.Split('\n').Where(line => line.StartsWith("  ")).Select(line => line.Split(' ', 2,
            StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[0])];
        Assert.True(names.Length >= 13, help);

        string said = await Processes.DotnetAsync(folder.Path, Program, "all", "--steps", "2", "--out", folder.File("out"));
        Assert.All(names.Where(name => name != "all"), name => Assert.Contains($"--- {name}: ", said));
        Assert.Contains("Finished: 2 steps in all.", said);
        Assert.Contains("2 steps on four ranks", said);
        Assert.Contains("27 modules of rank 16", said);
        foreach (string file in (string[])["lora.zip", "full/model.safetensors", "adapter/adapter_model.safetensors", "merged/config.json"])
            Assert.True(File.Exists(folder.File($"out/{file}")), file);
    }

    [Fact]
    public void Each_example_shows_its_pipeline_and_is_named_by_the_program()
    {
        string source = Path.Combine(Fixtures.Root, "samples", "Examples");
        string program = File.ReadAllText(Path.Combine(source, "Program.cs"));
        foreach (string file in Directory.EnumerateFiles(source, "*Example.cs").Where(file => Path.GetFileName(file) != "Example.cs"))
        {
            Assert.Contains(Path.GetFileNameWithoutExtension(file), program);
            string text = File.ReadAllText(file);
            string[] parts = ["gemma.TokenizeChat", "ChatTokenizer.Load", "ChatClient.Load"];
            Assert.True(parts.Any(part => text.Contains(part, StringComparison.Ordinal)), file);
        }
    }
}
