using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace DiffusionGemma;

/// <summary>Reads from a portable PDB which source files a type is written in.</summary>
internal static class TypeDocuments
{
    /// <summary>
    /// Custom debug information "Type Definition Documents": the documents of a type that no method's sequence points name.
    /// </summary>
    private static readonly Guid Kind = new("932E74BC-DBA9-4478-8D46-0F32A7BAB3D3");

    /// <summary>Files by the metadata token of the type, relative to the project's folder; generated files are left out.</summary>
    public static IReadOnlyDictionary<int, SortedSet<string>> Read(string assembly, string project)
    {
        using var provider = MetadataReaderProvider.FromPortablePdbStream(File.OpenRead(Path.ChangeExtension(assembly, ".pdb")));
        MetadataReader reader = provider.GetMetadataReader();
        using var pe = new PEReader(File.OpenRead(assembly));
        MetadataReader types = pe.GetMetadataReader();

        var files = new Dictionary<int, SortedSet<string>>();
        foreach (MethodDebugInformationHandle handle in reader.MethodDebugInformation)
        {
            int type = MetadataTokens.GetToken(types.GetMethodDefinition(handle.ToDefinitionHandle()).GetDeclaringType());
            MethodDebugInformation method = reader.GetMethodDebugInformation(handle);
            Add(type, method.Document);
            foreach (SequencePoint point in method.GetSequencePoints()) Add(type, point.Document);
        }
        foreach (CustomDebugInformationHandle handle in reader.CustomDebugInformation)
        {
            CustomDebugInformation information = reader.GetCustomDebugInformation(handle);
            if (reader.GetGuid(information.Kind) != Kind) continue;
            BlobReader blob = reader.GetBlobReader(information.Value);
            int type = MetadataTokens.GetToken(information.Parent);
            while (blob.RemainingBytes > 0) Add(type, MetadataTokens.DocumentHandle(blob.ReadCompressedInteger()));
        }
        return files;

        void Add(int type, DocumentHandle document)
        {
            if (document.IsNil || RelativePath(reader.GetString(reader.GetDocument(document).Name), project) is not { } path) return;
            if (!files.TryGetValue(type, out SortedSet<string>? paths)) files[type] = paths = new SortedSet<string>(StringComparer.Ordinal);
            paths.Add(path);
        }
    }

    private static string? RelativePath(string document, string project)
    {
        document = document.Replace('\\', '/');
        string folder = $"/src/{project}/";
        int at = document.LastIndexOf(folder, StringComparison.Ordinal);
        if (at < 0) return null;
        string path = document[(at + folder.Length)..];
        return path.StartsWith("obj/", StringComparison.Ordinal) ? null : path;
    }
}
