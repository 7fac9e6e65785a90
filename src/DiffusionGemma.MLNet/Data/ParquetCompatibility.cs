using System.Text;

namespace DiffusionGemma;

/// <summary>
/// Rewrites the footer of a parquet file whose schema Parquet.Net does not read as its writer meant it: lists of two levels become lists of
/// three, and JSON and enumeration columns become text.
/// <code>
/// two levels (Avro, Thrift, old Spark and Hive)      three levels
/// optional group messages (LIST)                     optional group messages (LIST)
///   repeated group array                               repeated group list
///     optional binary role (STRING)                      required group element
///                                                          optional binary role (STRING)
/// </code>
/// </summary>
/// <remarks>
/// A required group adds no level, so that the values stay as they are. The rules are those of apache/parquet-format, LogicalTypes.md,
/// "Backward-compatibility rules".
/// </remarks>
internal static class ParquetCompatibility
{
    private const int SchemaField = 2, RowGroupsField = 4, ColumnsField = 1, MetaDataField = 3, PathField = 3;

    /// <summary>The rewritten footer; null where the file needs none.</summary>
    /// <param name="footer">A whole footer (<see cref="ThriftCheck.IsWhole"/>).</param>
    public static byte[]? Rewrite(ReadOnlySpan<byte> footer)
    {
        ThriftStruct file = ThriftStruct.Read(ref footer);
        if (file.Get<ThriftList>(SchemaField) is not { Items.Count: > 0 } schema)
            return null;
        ParquetSchemaNode root = ParquetSchemaNode.Read(schema.Items);
        if (!Normalize(root))
            return null;
        Dictionary<string, string[]> paths = root.Leaves().ToDictionary(leaf => Key(leaf.Leaf.Path), leaf => leaf.NewPath);
        file.Set(SchemaField, ThriftStruct.List, new ThriftList(ThriftStruct.Struct, [.. root.Flatten()]));
        foreach (ThriftStruct group in Structs(file, RowGroupsField))
            foreach (ThriftStruct column in Structs(group, ColumnsField))
                if (column.Get<ThriftStruct>(MetaDataField) is { } data && data.Get<ThriftList>(PathField) is { } path
                    && paths.TryGetValue(Key(path.Items.Select(name => Encoding.UTF8.GetString((byte[])name))), out string[]? renamed))
                    data.Set(PathField, ThriftStruct.List, new ThriftList(ThriftStruct.Binary,
                        [.. renamed.Select(Encoding.UTF8.GetBytes)]));
        var bytes = new List<byte>();
        file.Write(bytes);
        return [.. bytes];
    }

    /// <returns>True where anything changed.</returns>
    private static bool Normalize(ParquetSchemaNode node)
    {
        if (node.Children.Count == 0)
            return node.TryMakeText();
        if (node.IsMap)
            return false;
        if (node.IsList && node.Children is [{ IsRepeated: true } repeated])
        {
            bool isTwoLevel = IsItem(node, repeated);
            if (isTwoLevel)
                node.MakeThreeLevels();
            return Normalize(repeated) | isTwoLevel;
        }
        bool changed = false;
        for (int i = 0; i < node.Children.Count; i++)
        {
            ParquetSchemaNode child = node.Children[i];
            bool isBareList = child.IsRepeated && !child.IsMap;
            if (isBareList)
                node.Children[i] = child.InList();
            changed |= Normalize(child) | isBareList;
        }
        return changed;
    }

    /// <summary>True where the repeated child of a list is the item itself, not a group around it.</summary>
    private static bool IsItem(ParquetSchemaNode list, ParquetSchemaNode repeated) =>
        repeated.Children.Count != 1 || repeated.Children[0].IsRepeated || repeated.IsList || repeated.Name == "array"
        || repeated.Name == $"{list.Name}_tuple";

    private static IEnumerable<ThriftStruct> Structs(ThriftStruct owner, int field) =>
        owner.Get<ThriftList>(field)?.Items.Cast<ThriftStruct>() ?? [];

    private static string Key(IEnumerable<string> path) => string.Join('\0', path);
}
