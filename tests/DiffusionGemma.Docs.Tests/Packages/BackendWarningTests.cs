namespace DiffusionGemma.Packages;

/// <summary>A build of an application without a backend of TorchSharp gets a warning that names them.</summary>
public sealed class BackendWarningTests
{
    [Theory]
    [InlineData("Exe", "", "", true)]
    [InlineData("Exe", "Microsoft.ML", "", true)]
    [InlineData("WinExe", "", "", true)]
    [InlineData("Exe", "", "", false, "Newtonsoft.Json")]
    [InlineData("Library", "", "", false)]
    [InlineData("Exe", "libtorch-cpu-linux-x64", "", false)]
    [InlineData("Exe", "libtorch-cuda-12.8-win-x64", "", false)]
    [InlineData("Exe", "", "-p:TorchBackendWarning=false", false)]
    public async Task It_depends_on_what_is_referenced(
        string output, string package, string property, bool warns, string other = "TorchSharp")
    {
        using TemporaryFolder folder = Fixtures.Temporary("backend");
        string managed = $"""<RuntimeCopyLocalItems Include="managed.dll" NuGetPackageId="{other}" />""";
        string item = package.Length == 0 ? "" : $"""<NativeCopyLocalItems Include="native.so" NuGetPackageId="{package}" />""";
        await File.WriteAllTextAsync(folder.File("Application.proj"), $"""
            <Project>
              <PropertyGroup><OutputType>{output}</OutputType></PropertyGroup>
              <Target Name="ResolvePackageAssets"><ItemGroup>{managed}{item}</ItemGroup></Target>
              <Import Project="{Path.Combine(Fixtures.Root, "build", "TorchSharpMend.targets")}" />
            </Project>
            """);
        string text = await Processes.DotnetAsync(folder.Path, [
            "msbuild", "-t:ResolvePackageAssets", "-nologo", "-nodeReuse:false", "Application.proj",
            .. property.Length == 0 ? Array.Empty<string>() : [property]]);
        const string Warning = "warning DGM001: Application references DiffusionGemma and no backend";
        Assert.Equal(warns, text.Contains(Warning, StringComparison.Ordinal));
        Assert.Equal(warns, text.Contains("TorchSharp-cpu, TorchSharp-cuda-linux or TorchSharp-cuda-windows", StringComparison.Ordinal));
    }
}
