using System.IO.Compression;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using System.Xml.Linq;

namespace DiffusionGemma.Packages;

/// <summary>The packages hold what they should, and an application that has nothing else can train, save and load.</summary>
[Collection(Processes.OneByOne)]
public sealed class PackageTests(LocalFeed feed) : IClassFixture<LocalFeed>
{
    public static TheoryData<string> Names => [.. LocalFeed.Projects.Select(project => Path.GetFileNameWithoutExtension(project))];

    [Theory]
    [MemberData(nameof(Names))]
    public void DescribesItself(string name)
    {
        using ZipArchive package = ZipFile.OpenRead(PackageFile(name, "nupkg"));
        XElement metadata = Read(package.GetEntry($"{name}.nuspec")!).Root!.Elements().Single();
        string Value(string element) => metadata.Elements().SingleOrDefault(e => e.Name.LocalName == element)?.Value ?? "";

        Assert.NotEmpty(Value("description"));
        Assert.NotEmpty(Value("tags"));
        Assert.Equal("MIT", Value("license"));
        Assert.Equal("README.md", Value("readme"));
        XElement repository = Assert.Single(metadata.Elements(), e => e.Name.LocalName == "repository");
        Assert.StartsWith("https://", repository.Attribute("url")!.Value);
        using var readme = new StreamReader(package.GetEntry("README.md")!.Open());
        Assert.Equal($"# {name}", readme.ReadLine());
        Assert.NotNull(package.GetEntry($"lib/net10.0/{name}.dll"));
        Assert.NotNull(package.GetEntry($"lib/net10.0/{name}.xml"));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void HasSymbolsAndNoPathOfTheMachineThatBuiltIt(string name)
    {
        using ZipArchive package = ZipFile.OpenRead(PackageFile(name, "nupkg"));
        using ZipArchive symbols = ZipFile.OpenRead(PackageFile(name, "snupkg"));
        Assert.NotNull(symbols.GetEntry($"lib/net10.0/{name}.pdb"));
        if (LocalFeed.Metadata("Configuration") != "Release")
            Assert.Skip("A Debug build names sources by their place on this machine, for the debugger.");
        foreach (ZipArchiveEntry entry in package.Entries.Concat(symbols.Entries))
        {
            using var bytes = new MemoryStream();
            using (Stream content = entry.Open()) content.CopyTo(bytes);
            foreach (byte[] path in new[] { Encoding.UTF8.GetBytes(Fixtures.Root), Encoding.Unicode.GetBytes(Fixtures.Root) })
                Assert.True(bytes.ToArray().AsSpan().IndexOf(path) < 0, $"{entry.FullName} names {Fixtures.Root}.");
        }
    }

    /// <summary>Every package that it runs with, at the version of the lock file, with a digest and a licence.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void HasABillOfMaterials(string name)
    {
        using ZipArchive package = ZipFile.OpenRead(PackageFile(name, "nupkg"));
        XElement metadata = Read(package.GetEntry($"{name}.nuspec")!).Root!.Elements().Single();
        using Stream content = package.GetEntry("bom.json")!.Open();
        JsonObject bom = JsonNode.Parse(content)!.AsObject();
        Assert.Equal("CycloneDX", (string?)bom["bomFormat"]);
        JsonNode own = bom["metadata"]!["component"]!;
        Assert.Equal(name, (string?)own["name"]);
        Assert.Equal(metadata.Elements().Single(e => e.Name.LocalName == "version").Value, (string?)own["version"]);

        JsonObject locked = JsonNode.Parse(File.ReadAllText(Repository.Absolute($"src/{name}/packages.lock.json")))!
            ["dependencies"]!["net10.0"]!.AsObject();
        Dictionary<string, JsonNode> components = bom["components"]!.AsArray()
            .ToDictionary(component => (string)component!["name"]!, component => component!, StringComparer.OrdinalIgnoreCase);
        foreach ((string id, JsonNode component) in components)
        {
            JsonNode entry = locked.Single(one => one.Key.Equals(id, StringComparison.OrdinalIgnoreCase)).Value!;
            Assert.Equal((string?)entry["resolved"], (string?)component["version"]);
            Assert.Matches("^[0-9a-f]{128}$", (string?)component["hashes"]![0]!["content"]);
            Assert.NotEmpty(component["licenses"]!.AsArray());
        }
        IEnumerable<string> needed = metadata.Descendants().Where(e => e.Name.LocalName == "dependency")
            .Select(e => e.Attribute("id")!.Value).Where(id => !id.StartsWith("DiffusionGemma.", StringComparison.Ordinal));
        Assert.DoesNotContain(needed, id => !components.ContainsKey(id));
    }

    /// <summary>An empty project restores the packages, trains, and saves; a second process answers from what was saved.</summary>
    [Fact]
    public async Task TrainSaveAndLoadInAnEmptyProject()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        string project = Directory.CreateDirectory(folder.File("project")).FullName, packages = folder.File("packages");
        File.WriteAllText(Path.Combine(project, "Application.csproj"), Project(packages));
        File.WriteAllText(Path.Combine(project, "Program.cs"), Program);
        await Processes.DotnetAsync(project, "build", "-c", "Release", "-o", "application", "-nologo", "-v:minimal", "-nodeReuse:false");
        string application = Path.Combine(project, "application", "Application.dll"), checkpoint = Fixtures.Checkpoint("tiny-chat");

        string trained = await Processes.DotnetAsync(folder.Path, application, "train", checkpoint);
        string loaded = await Processes.DotnetAsync(folder.Path, application, "load", checkpoint);

        Assert.Equal(2, trained.Split("Response: ").Length - 1);
        Assert.Equal(trained, loaded);
        Assert.True(new FileInfo(folder.File("curves.png")).Length > 1000);
    }

    /// <summary>A program in one file names its packages itself.</summary>
    [Fact]
    public async Task AFileBasedProgramAnswers()
    {
        using TemporaryFolder folder = Fixtures.Temporary();
        File.Copy(Path.Combine(Fixtures.Root, "samples", "FileBased", "answer.cs"), folder.File("answer.cs"));
        File.WriteAllText(folder.File("Directory.Build.props"), $"""
            <Project>
              <PropertyGroup>
                <NuGetAudit>false</NuGetAudit>
                <PublishAot>false</PublishAot>
                <UseCurrentRuntimeIdentifier>true</UseCurrentRuntimeIdentifier>
                <SelfContained>false</SelfContained>
                <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
                <RestorePackagesPath>{folder.File("packages")}</RestorePackagesPath>
                <RestoreFallbackFolders>{LocalFeed.Metadata("NuGetPackageRoot")}</RestoreFallbackFolders>
                <RestoreAdditionalProjectSources>{feed.Folder}</RestoreAdditionalProjectSources>
              </PropertyGroup>
            </Project>
            """);
        await Processes.DotnetAsync(folder.Path, "build", "answer.cs", "-o", folder.File("application"), "-nologo", "-v:minimal");
        string answer = await Processes.DotnetAsync(
            folder.Path, folder.File("application/answer.dll"), Fixtures.Checkpoint("tiny-chat"), "What is 8 plus 7?");
        Assert.Equal("8 plus 7 is 15.", answer.Trim());
    }

    private static string Version { get; } = typeof(DiffusionGemmaModel).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    private string PackageFile(string name, string kind) =>
        Path.Combine(feed.Folder, $"{name}.{Version}.{kind}");

    private static XDocument Read(ZipArchiveEntry entry)
    {
        using Stream stream = entry.Open();
        return XDocument.Load(stream);
    }

    /// <summary>
    /// Restores into a folder of its own, so that the packages of this build are taken, not earlier ones of the same version; all
    /// others come from where they were restored for the tests.
    /// </summary>
    private string Project(string packages) => $"""
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup>
            <OutputType>Exe</OutputType>
            <TargetFramework>net10.0</TargetFramework>
            <ImplicitUsings>enable</ImplicitUsings>
            <Nullable>enable</Nullable>
            <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
            <NuGetAudit>false</NuGetAudit>
            <UseCurrentRuntimeIdentifier>true</UseCurrentRuntimeIdentifier>
            <SelfContained>false</SelfContained>
            <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
            <RestorePackagesPath>{packages}</RestorePackagesPath>
            <RestoreFallbackFolders>{LocalFeed.Metadata("NuGetPackageRoot")}</RestoreFallbackFolders>
            <RestoreAdditionalProjectSources>{feed.Folder}</RestoreAdditionalProjectSources>
          </PropertyGroup>
          <ItemGroup>
            <PackageReference Include="DiffusionGemma.MLNet" Version="{Version}" />
            <PackageReference Include="DiffusionGemma.Chat" Version="{Version}" />
            <PackageReference Include="DiffusionGemma.Reports" Version="{Version}" />
            <PackageReference Include="TorchSharp-cpu" Version="0.107.0" />
          </ItemGroup>
        </Project>
        """;

    private const string Program = """"
        using DiffusionGemma;
        using Microsoft.Extensions.AI;
        using Microsoft.ML;
        using Microsoft.ML.Data;

        string checkpoint = args[1];
        var ml = new MLContext(seed: 42);
        var gemma = ml.Transforms.DiffusionGemma;
        IDataView questions = ml.Data.LoadChatFromEnumerable(["""[{"role": "user", "content": "What is 8 plus 7?"}]"""]);
        ITransformer model;
        if (args[0] == "train")
        {
            IDataView rows = ml.Data.LoadChatFromEnumerable(Enumerable.Range(0, 16).Select(i => $$"""
                [{"role": "user", "content": "What is {{i}} plus 1?"}, {"role": "assistant", "content": "{{i + 1}}"}]
                """));
            var trained = gemma.TokenizeChat(checkpoint)
                .Append(gemma.MaskResponse())
                .Append(gemma.PackCanvas(checkpoint, maxLength: 256))
                .Append(gemma.FineTune(checkpoint, new FineTuneOptions
                {
                    Lora = new LoraOptions(), MaxSteps = 4, Epochs = 2, WarmupSteps = 1, LearningRate = 1e-2,
                }))
                .Fit(rows);
            trained.LastTransformer.Summary!.Plot("curves.png");
            model = trained;
            ml.Model.Save(model, rows.Schema, "model.zip");
        }
        else
        {
            model = ml.Model.Load("model.zip", out _);
        }
        foreach (string text in model.Transform(questions).GetColumn<string>("Response")) Console.WriteLine($"Response: {text}");
        using IChatClient client = DiffusionGemmaChatClient.Load(checkpoint);
        Console.WriteLine($"Response: {await client.GetResponseAsync("What is 8 plus 7?")}");
        """";
}
