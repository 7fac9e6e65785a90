using System.Text;

namespace DiffusionGemma;

/// <summary>One element of a parquet schema with its children. (apache/parquet-format, parquet.thrift: SchemaElement.)</summary>
internal sealed class ParquetSchemaNode
{
    private const int RepetitionField = 3, NameField = 4, ChildCountField = 5, ConvertedTypeField = 6, LogicalTypeField = 10;
    private const long Required = 0, Repeated = 2;
    private const long Utf8 = 0, Map = 1, MapKeyValue = 2, ConvertedList = 3, Enum = 4, Json = 19;
    private const int LogicalString = 1, LogicalMap = 2, LogicalList = 3, LogicalEnum = 4, LogicalJson = 12;

    private const int DeepestNesting = 64;

    private readonly ThriftStruct _element;

    private ParquetSchemaNode(ThriftStruct element, List<ParquetSchemaNode> children)
    {
        _element = element;
        Children = children;
    }

    public List<ParquetSchemaNode> Children { get; private set; }

    /// <summary>The names from the root's child to this element as the file has them.</summary>
    public string[] Path { get; private set; } = [];

    public string Name => Encoding.UTF8.GetString(_element.Get<byte[]>(NameField) ?? []);

    public bool IsRepeated => _element.GetInteger(RepetitionField) == Repeated;

    public bool IsList => Is(ConvertedList, LogicalList);

    public bool IsMap => Is(Map, LogicalMap) || Is(MapKeyValue, LogicalMap);

    /// <summary>Reads the flat list of a footer, in which each element is followed by its children.</summary>
    public static ParquetSchemaNode Read(IReadOnlyList<object> elements)
    {
        int next = 0;
        return ReadNext(parent: null);

        ParquetSchemaNode ReadNext(string[]? parent)
        {
            if (next == elements.Count || parent is { Length: DeepestNesting })
                throw new InvalidDataException($"element {next} of the schema is missing or nested too deep; fetch the file again");
            var node = new ParquetSchemaNode((ThriftStruct)elements[next++], []);
            node.Path = parent is null ? [] : [.. parent, node.Name];
            for (long count = node._element.GetInteger(ChildCountField) ?? 0; count > 0; count--)
                node.Children.Add(ReadNext(node.Path));
            return node;
        }
    }

    /// <summary>The flat list of a footer.</summary>
    public IEnumerable<object> Flatten() => [_element, .. Children.SelectMany(child => child.Flatten())];

    /// <summary>The leaves with their new paths: the names from the root's child down as the tree now has them.</summary>
    public IEnumerable<(ParquetSchemaNode Leaf, string[] NewPath)> Leaves(params string[] above) => Children.SelectMany(child =>
        child.Children.Count == 0 ? [(child, [.. above, child.Name])] : child.Leaves([.. above, child.Name]));

    /// <summary>Annotates JSON and the names of an enumeration as text; false for other elements.</summary>
    public bool TryMakeText()
    {
        if (!Is(Json, LogicalJson) && !Is(Enum, LogicalEnum))
            return false;
        _element.Set(ConvertedTypeField, ThriftStruct.Int32, Utf8);
        var logical = new ThriftStruct();
        logical.Set(LogicalString, ThriftStruct.Struct, new ThriftStruct());
        _element.Set(LogicalTypeField, ThriftStruct.Struct, logical);
        return true;
    }

    /// <summary>Makes the repeated child of a list its required item, inside a repeated group of its own.</summary>
    public void MakeThreeLevels()
    {
        ParquetSchemaNode item = Children[0];
        item.Become(Required, "element");
        Children = [Group("list", Repeated, [item])];
    }

    /// <summary>The list whose items this repeated element, which stands outside a list, is.</summary>
    public ParquetSchemaNode InList()
    {
        ParquetSchemaNode list = Group(Name, Required, [this]);
        list._element.Set(ConvertedTypeField, ThriftStruct.Int32, ConvertedList);
        list.MakeThreeLevels();
        return list;
    }

    private static ParquetSchemaNode Group(string name, long repetition, List<ParquetSchemaNode> children)
    {
        var group = new ParquetSchemaNode(new ThriftStruct(), children);
        group.Become(repetition, name);
        group._element.Set(ChildCountField, ThriftStruct.Int32, (long)children.Count);
        return group;
    }

    private void Become(long repetition, string name)
    {
        _element.Set(RepetitionField, ThriftStruct.Int32, repetition);
        _element.Set(NameField, ThriftStruct.Binary, Encoding.UTF8.GetBytes(name));
    }

    private bool Is(long converted, int logical) =>
        _element.GetInteger(ConvertedTypeField) == converted || _element.Get<ThriftStruct>(LogicalTypeField)?.Has(logical) == true;
}
