using System.Diagnostics;
using System.IO.Compression;
using System.Reflection;
using System.Runtime.InteropServices;

namespace DiffusionGemma.Packages;

/// <summary>The tool as users get it: packed for this system, installed from a feed with an empty home, and run.</summary>
[Collection(OneByOne.Name)]
public sealed class ToolPackageTests
{
    private const string Name = "DiffusionGemma.Tool";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(30);

    private static readonly string Host = Path.GetFullPath(
        Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));

    [Fact]
    public async Task The_package_of_this_system_installs_and_answers()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string feed = folder.File("feed"), tools = folder.File("tools"), home = Directory.CreateDirectory(folder.File("home")).FullName;
        string identifier = RuntimeInformation.RuntimeIdentifier;
        string configuration = typeof(ToolPackageTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .Single(attribute => attribute.Key == "Configuration").Value!;
        await RunAsync(Host, null, "pack", Path.Combine(Fixtures.Root, "src", Name), "-c", configuration, "-nologo", "-v:quiet",
            "-nodeReuse:false", "-o", feed);
        // This system's, and the one by whose name it is installed.
        Assert.Equal(2, Directory.GetFiles(feed, "*.nupkg").Length);
        using (ZipArchive package = ZipFile.OpenRead(Directory.GetFiles(feed, $"{Name}.{identifier}.*.nupkg").Single()))
        {
            Assert.NotNull(package.GetEntry("README.md"));
            Assert.Contains(package.Entries, entry => entry.Name.Contains("torch_cpu", StringComparison.Ordinal));
        }

        await RunAsync(Host, home, "tool", "install", Name, "--tool-path", tools, "--source", feed);
        string tool = Path.Combine(tools, OperatingSystem.IsWindows() ? "diffusion-gemma.exe" : "diffusion-gemma");
        string version = await RunAsync(tool, home, "--version");
        Assert.Contains("TorchSharp 0.107.0: mended", version, StringComparison.Ordinal);
        Assert.Contains("Backend: libtorch", version, StringComparison.Ordinal);

        TrainedRun.WriteRows(folder.File("rows.jsonl"));
        string output = folder.File("out"), recipe = TrainedRun.WriteRecipe(folder.Path, output);
        await RunAsync(tool, home, "train", recipe, "--step_scheduler.max_steps", "2", "--device", "cpu");
        Assert.True(new FileInfo(Path.Combine(output, "report", "curves.png")).Length > 1000);
        Assert.NotEmpty((await RunAsync(tool, home, "chat", output, "--prompt", "What is 8 plus 7?", "--max-new-tokens", "32")).Trim());
    }

    /// <summary>Runs a program, and fails the test where it does not end with 0.</summary>
    /// <param name="home">The home folder; null: this user's.</param>
    private static async Task<string> RunAsync(string program, string? home, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_ROOT"] = Path.GetDirectoryName(Host);
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        if (home is not null)
        {
            start.Environment["HOME"] = start.Environment["USERPROFILE"] = home;
            start.Environment.Remove("NUGET_PACKAGES");
            start.Environment.Remove("DOTNET_CLI_HOME");
        }
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
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end within {Limit}.");
        }
        Assert.True(process.ExitCode == 0,
            $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.\n{await output}\n{await errors}");
        return await output;
    }
}
