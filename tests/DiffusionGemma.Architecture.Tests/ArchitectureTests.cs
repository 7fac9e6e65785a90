namespace DiffusionGemma;

/// <summary>Dependencies between projects and folders as they are compiled, held against the design (docs/architecture.md).</summary>
public class ArchitectureTests
{
    private const string Torch = "DiffusionGemma.Torch";

    [Fact]
    public void Assemblies_and_the_files_of_their_types_are_read()
    {
        SourceTypes types = SourceTypes.Instance;
        Assert.Contains(Torch, types.Projects);
        foreach (string project in types.Projects) Assert.Contains(types.All, type => type.Project == project);
        SourceType group = types.All.Single(type => type.Name == "InProcessGroup");
        SourceType contract = types.All.Single(type => type.Name == "IProcessGroup");
        Assert.Equal(["Parallel/InProcess/InProcessGroup.cs"], group.Files);
        Assert.Equal(["Parallel/IProcessGroup.cs"], contract.Files);                         // an interface: no method has a sequence point
        Assert.Contains(contract.Key, group.Uses);
    }

    [Fact]
    public void Every_project_and_folder_is_assigned()
    {
        SourceTypes types = SourceTypes.Instance;
        Assert.DoesNotContain(types.Projects, project => !Arrows.IsAssigned(project));
        IEnumerable<string> folders = types.All.Where(type => type.Project == Torch).Select(type => type.Folder).Distinct();
        Assert.DoesNotContain(folders, folder => Arrows.Level(folder) < 0);
    }

    [Fact]
    public void Projects_depend_on_each_other_in_the_direction_of_the_design() => Violations.RequireNone(
        "project", SourceTypes.Instance.Uses()
            .Where(use => use.From.Project != use.To.Project && !Arrows.IsAllowed(use.From.Project, use.To.Project))
            .Select(use => ($"{use.From.Project} -> {use.To.Project}", $"{use.From} uses {use.To}")));

    [Fact]
    public void Text_and_Hub_do_not_use_TorchSharp_and_only_the_ML_NET_projects_use_ML_NET()
    {
        foreach (string project in SourceTypes.Instance.Projects)
        {
            IReadOnlyList<string> libraries = SourceTypes.ReferencedAssemblies(project);
            bool torch = libraries.Contains("TorchSharp");
            bool ml = libraries.Any(name => name.StartsWith("Microsoft.ML.") && name != "Microsoft.ML.Tokenizers");
            if (project is "DiffusionGemma.Text" or "DiffusionGemma.Hub") Assert.False(torch, $"{project} uses TorchSharp.");
            if (project is Torch or "DiffusionGemma.Text" or "DiffusionGemma.Hub" or "DiffusionGemma.Chat")
                Assert.False(ml, $"{project} uses ML.NET.");
        }
    }

    [Fact]
    public void Folders_of_Torch_depend_on_lower_levels_only() => Violations.RequireNone(
        "arrow", FolderUses(Torch).Where(PointsUp)
            .Select(use => ($"{use.From.Folder} -> {use.To.Folder}", $"{use.From} uses {use.To}")));

    /// <remarks>An arrow of DiffusionGemma.Torch that points up is the test above's: what is left are circles within a level.</remarks>
    [Fact]
    public void Folders_of_a_project_form_no_circle() => Violations.RequireNone(
        "circle", SourceTypes.Instance.Projects.SelectMany(project =>
    {
        (SourceType From, SourceType To)[] uses = [.. FolderUses(project).Where(use => project != Torch || !PointsUp(use))];
        var circle = FolderCircles.Find([.. uses.Select(use => (use.From.Folder, use.To.Folder)).Distinct()]).ToHashSet();
        return uses.Where(use => circle.Contains((use.From.Folder, use.To.Folder)))
            .Select(use => ($"{project}: {use.From.Folder} -> {use.To.Folder}", $"{use.From} uses {use.To}"));
    }));

    /// <remarks>The contract is in Parallel itself, each engine in a folder of its own below it.</remarks>
    [Fact]
    public void Engines_of_Parallel_depend_on_the_contract_alone() => Assert.Empty(
        from use in SourceTypes.Instance.Uses()
        where IsParallel(use.From) && IsParallel(use.To) && EngineOf(use.To) is not null && EngineOf(use.From) != EngineOf(use.To)
        select $"{use.From} uses {use.To}");

    [Fact]
    public void Jinja_depends_on_nothing_outside_its_folder() => Violations.RequireNone(
        "jinja", SourceTypes.Instance.Uses().Where(use => IsJinja(use.From) && !IsJinja(use.To))
            .Select(use => (use.To.Name, $"{use.From} uses {use.To}")));

    /// <remarks>
    /// A partial type's further files have its name and a word after a dot. Jinja's syntax records are in one file for each kind of node.
    /// </remarks>
    [Fact]
    public void Types_are_in_files_of_their_own_name() => Violations.RequireNone(
        "file", from type in SourceTypes.Instance.All
                from file in type.Files
                where !(IsJinja(type) && file.StartsWith("Jinja/Syntax/", StringComparison.Ordinal))
                let name = Path.GetFileNameWithoutExtension(file)
                where name != type.Name && !name.StartsWith(type.Name + ".", StringComparison.Ordinal)
                select (type.Name, $"{type.Name} is in {type.Project}/{file}"));

    [Fact]
    public void Parts_of_a_type_are_in_one_folder() => Assert.Empty(SourceTypes.Instance.All
        .Where(type => type.Files.Select(SourceType.FolderOf).Distinct().Count() > 1).Select(type => string.Join(", ", type.Files)));

    private static bool PointsUp((SourceType From, SourceType To) use) => Arrows.Level(use.From.Folder) < Arrows.Level(use.To.Folder);

    private static bool IsParallel(SourceType type) => type is { Project: Torch, Folder: "Parallel" };

    private static string? EngineOf(SourceType type) => type.Files[0].Split('/') is [_, string engine, _] ? engine : null;

    private static bool IsJinja(SourceType type) => type is { Project: "DiffusionGemma.Text", Folder: "Jinja" };

    private static IEnumerable<(SourceType From, SourceType To)> FolderUses(string project) =>
        SourceTypes.Instance.Uses()
            .Where(use => use.From.Project == project && use.To.Project == project && use.From.Folder != use.To.Folder);
}
