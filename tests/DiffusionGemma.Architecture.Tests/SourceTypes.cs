using Mono.Cecil;

namespace DiffusionGemma;

/// <summary>
/// Reads the types of all projects below src, their files and their references from the compiled assemblies and portable PDBs.
/// </summary>
internal sealed class SourceTypes
{
    private static readonly Lazy<SourceTypes> Compiled = new(() => new SourceTypes());

    private SourceTypes()
    {
        Projects =
            [.. Directory.GetFiles(Path.Combine(Fixtures.Root, "src"), "*.csproj", SearchOption.AllDirectories)
                .Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal)];
        All = [.. Projects.SelectMany(Read)];
        ByKey = All.ToDictionary(type => type.Key);
    }

    /// <summary>Read once for all tests: the assemblies do not change.</summary>
    public static SourceTypes Instance => Compiled.Value;

    /// <summary>Names of the projects, in order.</summary>
    public IReadOnlyList<string> Projects { get; }

    public IReadOnlyList<SourceType> All { get; }

    public IReadOnlyDictionary<TypeKey, SourceType> ByKey { get; }

    /// <summary>Assemblies that a project's assembly refers to.</summary>
    public static IReadOnlyList<string> ReferencedAssemblies(string project)
    {
        using ModuleDefinition module = ModuleDefinition.ReadModule(AssemblyPath(project));
        return [.. module.AssemblyReferences.Select(reference => reference.Name)];
    }

    /// <summary>Each pair of a type and another one of the sources that it uses.</summary>
    public IEnumerable<(SourceType From, SourceType To)> Uses() =>
        from type in All
        from key in type.Uses
        where ByKey.ContainsKey(key)
        select (type, ByKey[key]);

    private static string AssemblyPath(string project) => Path.Combine(AppContext.BaseDirectory, $"{project}.dll");

    private static IEnumerable<SourceType> Read(string project)
    {
        string assembly = AssemblyPath(project);
        IReadOnlyDictionary<int, SortedSet<string>> files = TypeDocuments.Read(assembly, project);
        using ModuleDefinition module = ModuleDefinition.ReadModule(assembly);
        foreach (TypeDefinition type in module.Types)
        {
            var own = new SortedSet<string>(StringComparer.Ordinal);
            foreach (TypeDefinition one in TypeReferences.WithNested(type))
                if (files.TryGetValue(one.MetadataToken.ToInt32(), out SortedSet<string>? written)) own.UnionWith(written);
            if (own.Count == 0) continue;                            // made by the compiler or a source generator
            TypeKey key = TypeReferences.KeyOf(type);
            yield return new SourceType(project, key.FullName, [.. own], [.. TypeReferences.Of(type).Where(used => used != key)],
                TypeReferences.CallsOf(type));
        }
    }
}
