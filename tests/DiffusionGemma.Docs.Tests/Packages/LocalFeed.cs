using System.Reflection;
using System.Xml.Linq;

namespace DiffusionGemma.Packages;

/// <summary>Packs every project of src, as it was built for this test, into a folder.</summary>
public sealed class LocalFeed : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new("packages");

    /// <summary>The tool, whose packages have another form and tests of their own.</summary>
    private const string Tool = "DiffusionGemma.Tool.csproj";

    /// <summary>The projects below src, which all are packages.</summary>
    public static IReadOnlyList<string> Projects { get; } =
    [
        .. Directory.EnumerateFiles(Repository.Absolute("src"), "*.csproj", SearchOption.AllDirectories)
            .Where(project => Path.GetFileName(project) != Tool).Order(StringComparer.Ordinal),
    ];

    internal string Folder => _folder.Path;

    /// <summary>A value that the project file wrote into the test's assembly.</summary>
    internal static string Metadata(string key) =>
        typeof(LocalFeed).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        using TemporaryFolder scratch = new("pack");
        var pack = new XElement("Project",
            new XElement("Target", new XAttribute("Name", "PackAll"),
                new XElement("MSBuild", new XAttribute("Projects", string.Join(';', Projects)), new XAttribute("Targets", "Pack"),
                    new XAttribute("Properties", $"Configuration={Metadata("Configuration")};NoBuild=true;PackageOutputPath={Folder}"))));
        pack.Save(scratch.File("all.proj"));
        await Processes.DotnetAsync(scratch.Path, "msbuild", "all.proj", "-t:PackAll", "-nologo", "-v:minimal", "-nodeReuse:false");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}
