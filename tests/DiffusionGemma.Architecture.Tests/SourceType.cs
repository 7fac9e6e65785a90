namespace DiffusionGemma;

/// <summary>A top-level type of a project below src.</summary>
/// <param name="Project">The assembly's name, which is the project folder's.</param>
/// <param name="FullName">With its namespace; generic types end in a back-tick and their arity.</param>
/// <param name="Files">The files it is written in, relative to the project's folder, with forward slashes.</param>
/// <param name="Uses">Types of the projects below src that it, its nested types or their methods refer to.</param>
/// <param name="Calls">The assembly and the name of each method that its methods, and those of its nested types, call.</param>
internal sealed record SourceType(
    string Project, string FullName, IReadOnlyList<string> Files, IReadOnlyList<TypeKey> Uses,
    IReadOnlySet<(string Assembly, string Method)> Calls)
{
    public TypeKey Key => new(Project, FullName);

    /// <summary>Without the namespace and the arity.</summary>
    public string Name => FullName[(FullName.LastIndexOf('.') + 1)..].Split('`')[0];

    /// <summary>The first level below the project's folder; "." for files of the project's folder itself.</summary>
    public string Folder => FolderOf(Files[0]);

    public static string FolderOf(string file) => file.Contains('/') ? file[..file.IndexOf('/')] : ".";

    public override string ToString() => $"{Name} ({Project}/{Files[0]})";
}
