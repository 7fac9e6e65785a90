namespace DiffusionGemma.Snippets;

/// <summary>The code in the documents compiles without a warning and runs as it is printed.</summary>
[Collection(Processes.OneByOne)]
public sealed class SnippetTests
{
    /// <summary>Document and line of every program.</summary>
    public static TheoryData<string, int> Programs
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string document in Repository.Documents)
                foreach (SnippetProgram program in SnippetProgram.In(document, Repository.Read(document)))
                    data.Add(document, program.Line);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public async Task RunsAsPrinted(string document, int line)
    {
        SnippetProgram program = SnippetProgram.In(document, Repository.Read(document)).Single(p => p.Line == line);
        // Beside this test's assemblies, so that the host finds what the program references where it finds them for the test.
        string assembly = Path.Combine(AppContext.BaseDirectory, $"snippet-{document.Replace('/', '-')}-{line}.dll");
        try
        {
            Assert.Empty(SnippetCompiler.Compile(program, assembly));
            if (program.CompileOnly is not null) return;
            using TemporaryFolder folder = Fixtures.Temporary();
            SnippetFolder.Fill(folder.Path);
            string beside = Path.Combine(AppContext.BaseDirectory, typeof(SnippetTests).Assembly.GetName().Name!);
            string output = await Processes.DotnetAsync(
                folder.Path, "exec", "--depsfile", $"{beside}.deps.json", "--runtimeconfig", $"{beside}.runtimeconfig.json", assembly);
            if (program.Source.Contains("Console.Write", StringComparison.Ordinal)) Assert.NotEqual("", output.Trim());
        }
        finally
        {
            File.Delete(assembly);
        }
    }

    [Fact]
    public void ReadmeHasThePipelineAndTheChat() =>
        Assert.Equal(2, SnippetProgram.In("README.md", Repository.Read("README.md")).Count(program => program.CompileOnly is null));
}
