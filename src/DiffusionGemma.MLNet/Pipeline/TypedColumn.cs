using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Name and type of an input or output column, checked when the pipeline is built and again when it runs.</summary>
/// <param name="Name">The column's name.</param>
/// <param name="ItemType">The type of its values, or of the items of its vectors.</param>
/// <param name="IsVector">True for a vector of variable length.</param>
/// <param name="MadeBy">The step that makes an input column, for errors; null where it has no usual one.</param>
/// <param name="Annotations">What an output column says of itself; null: nothing.</param>
internal readonly record struct TypedColumn(
    string Name, PrimitiveDataViewType ItemType, bool IsVector, string? MadeBy = null, DataViewSchema.Annotations? Annotations = null)
{
    public static TypedColumn Text(string name, string? madeBy = null) => new(name, TextDataViewType.Instance, IsVector: false, madeBy);

    public static TypedColumn Int(string name, string? madeBy = null) => new(name, NumberDataViewType.Int32, IsVector: false, madeBy);

    public static TypedColumn Single(string name) => new(name, NumberDataViewType.Single, IsVector: false);

    public static TypedColumn Ints(string name, string? madeBy = null) => new(name, NumberDataViewType.Int32, IsVector: true, madeBy);

    public static TypedColumn Bools(string name, string? madeBy = null) => new(name, BooleanDataViewType.Instance, IsVector: true, madeBy);

    public static TypedColumn Texts(string name) => new(name, TextDataViewType.Instance, IsVector: true);

    public DataViewType Type => IsVector ? new VectorDataViewType(ItemType) : ItemType;

    public DataViewSchema.DetachedColumn Detached => new(Name, Type, Annotations);

    /// <summary>The column in a view.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The view has no such column, or it has another type.</exception>
    public DataViewSchema.Column FindIn(DataViewSchema schema, IExceptionContext context)
    {
        if (schema.GetColumnOrNull(Name) is not { } column)
            throw Missing(schema.Where(known => !known.IsHidden).Select(known => known.Name));
        bool isVector = column.Type is VectorDataViewType;
        if (isVector != IsVector || !column.Type.GetItemType().Equals(ItemType))
            throw context.ExceptSchemaMismatch(nameof(schema), "input", Name, Type.ToString(), column.Type.ToString());
        return column;
    }

    /// <summary>Refuses a pipeline in which nothing before this part gives the column.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such column, or it has another type.</exception>
    public void CheckIn(SchemaShape schema, IExceptionContext context)
    {
        if (!schema.TryFindColumn(Name, out SchemaShape.Column column))
            throw Missing(schema.Select(known => known.Name));
        bool isVector = column.Kind != SchemaShape.Column.VectorKind.Scalar;
        if (isVector != IsVector || !column.ItemType.Equals(ItemType))
            throw context.ExceptSchemaMismatch(nameof(schema), "input", Name, Type.ToString(), column.GetTypeString());
    }

    /// <summary>The shape after a part that adds these columns, each in the place of an older one of its name.</summary>
    public static SchemaShape Add(SchemaShape schema, IEnumerable<TypedColumn> columns)
    {
        Dictionary<string, SchemaShape.Column> byName = schema.ToDictionary(column => column.Name);
        foreach (TypedColumn column in columns)
        {
            var kind = column.IsVector ? SchemaShape.Column.VectorKind.VariableVector : SchemaShape.Column.VectorKind.Scalar;
            byName[column.Name] = new SchemaShape.Column(column.Name, kind, column.ItemType, isKey: false);
        }
        return new SchemaShape(byName.Values);
    }

    private ArgumentOutOfRangeException Missing(IEnumerable<string> known)
    {
        string remedy = MadeBy is null ? "" : $" {MadeBy} makes it: append that step before this one, or name another column.";
        return new ArgumentOutOfRangeException("schema",
            $"There is no column '{Name}'; the data has {string.Join(", ", known.Select(name => $"'{name}'"))}.{remedy}");
    }
}
