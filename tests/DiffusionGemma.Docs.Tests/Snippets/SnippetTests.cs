using System.Diagnostics;

namespace DiffusionGemma.Snippets;

/// <summary>The code in the documents compiles without a warning and runs as it is printed.</summary>
[Collection("processes that compute, one after the other")]
public sealed class SnippetTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

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
            (int exit, string output, string errors) = await RunAsync(assembly, folder.Path);
            Assert.True(exit == 0, $"{document}, line {line} ended with {exit}.\n{output}\n{errors}");
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

    private static async Task<(int Exit, string Output, string Errors)> RunAsync(string assembly, string folder)
    {
        string beside = Path.Combine(AppContext.BaseDirectory, typeof(SnippetTests).Assembly.GetName().Name!);
        var start = new ProcessStartInfo(SnippetCompiler.Host,
            ["exec", "--depsfile", $"{beside}.deps.json", "--runtimeconfig", $"{beside}.runtimeconfig.json", assembly])
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"The program did not end within {Limit}.");
        }
        return (process.ExitCode, await output, await errors);
    }
}
