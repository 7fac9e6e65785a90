using System;
using System.IO;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Copies an assembly and widens, in the copy, what is internal: internal becomes public, private protected becomes protected.
/// Only visibility flags change, in place, so nothing in the file moves. (MSBuild compiles this with an old language version.)
/// </summary>
public class MakeFriendView : Task
{
    // Where a row of the metadata table keeps its flags (ECMA-335 II.22.37, II.22.15, II.22.26).
    private const int FlagsOfType = 0;
    private const int FlagsOfField = 0;
    private const int FlagsOfMethod = 6;

    [Required]
    public string Source { get; set; }

    [Required]
    public string Destination { get; set; }

    /// <summary>Types of other namespaces keep their visibility: the framework types that an assembly brings along would become ambiguous.</summary>
    [Required]
    public string NamespacePrefix { get; set; }

    public override bool Execute()
    {
        byte[] image = File.ReadAllBytes(Source);
        using (PEReader file = new PEReader(new MemoryStream(image, writable: false)))
        {
            MetadataReader metadata = file.GetMetadataReader();
            int start = file.PEHeaders.MetadataStartOffset;
            foreach (TypeDefinitionHandle handle in metadata.TypeDefinitions)
            {
                TypeDefinition type = metadata.GetTypeDefinition(handle);
                if (!BelongsToPrefix(metadata, type) || IsCompilerGenerated(metadata, type))
                    continue;
                image[start + Row(metadata, TableIndex.TypeDef, handle) + FlagsOfType] = (byte)Widened(type.Attributes);
                foreach (FieldDefinitionHandle field in type.GetFields())
                    image[start + Row(metadata, TableIndex.Field, field) + FlagsOfField] =
                        (byte)Widened((MethodAttributes)metadata.GetFieldDefinition(field).Attributes);
                foreach (MethodDefinitionHandle method in type.GetMethods())
                    image[start + Row(metadata, TableIndex.MethodDef, method) + FlagsOfMethod] =
                        (byte)Widened(metadata.GetMethodDefinition(method).Attributes);
            }
        }
        Replace(Destination, image);
        return true;
    }

    private static int Row(MetadataReader metadata, TableIndex table, EntityHandle handle)
    {
        return metadata.GetTableMetadataOffset(table) + (metadata.GetRowNumber(handle) - 1) * metadata.GetTableRowSize(table);
    }

    private bool BelongsToPrefix(MetadataReader metadata, TypeDefinition type)
    {
        while (type.IsNested)
            type = metadata.GetTypeDefinition(type.GetDeclaringType());
        return metadata.GetString(type.Namespace).StartsWith(NamespacePrefix, StringComparison.Ordinal);
    }

    private static bool IsCompilerGenerated(MetadataReader metadata, TypeDefinition type)
    {
        return metadata.GetString(type.Name).StartsWith("<", StringComparison.Ordinal);
    }

    private static TypeAttributes Widened(TypeAttributes flags)
    {
        TypeAttributes visibility = flags & TypeAttributes.VisibilityMask;
        switch (visibility)
        {
            case TypeAttributes.NotPublic: visibility = TypeAttributes.Public; break;
            case TypeAttributes.NestedAssembly: visibility = TypeAttributes.NestedPublic; break;
            case TypeAttributes.NestedFamANDAssem: visibility = TypeAttributes.NestedFamily; break;
        }
        return flags & ~TypeAttributes.VisibilityMask | visibility;
    }

    // A field's visibility has the same numbers as a method's.
    private static MethodAttributes Widened(MethodAttributes flags)
    {
        MethodAttributes access = flags & MethodAttributes.MemberAccessMask;
        switch (access)
        {
            case MethodAttributes.Assembly: access = MethodAttributes.Public; break;
            case MethodAttributes.FamANDAssem: access = MethodAttributes.Family; break;
        }
        return flags & ~MethodAttributes.MemberAccessMask | access;
    }

    // A build beside this one may be reading or writing the same file: it never sees half of it.
    private static void Replace(string path, byte[] content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path));
        string temporary = path + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(temporary, content);
        try
        {
            File.Delete(path);
            File.Move(temporary, path);
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(temporary);
        }
    }
}
