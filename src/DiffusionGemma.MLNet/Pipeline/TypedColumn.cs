using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Name and type of an input or output column, checked when the pipeline is built and again when it runs.</summary>
internal readonly record struct TypedColumn(string Name, PrimitiveDataViewType ItemType, bool IsVector)
{
    public static TypedColumn Text(string name) => new(name, TextDataViewType.Instance, IsVector: false);

    public static TypedColumn Int(string name) => new(name, NumberDataViewType.Int32, IsVector: false);

    public static TypedColumn Single(string name) => new(name, NumberDataViewType.Single, IsVector: false);

    public static TypedColumn Ints(string name) => new(name, NumberDataViewType.Int32, IsVector: true);

    public static TypedColumn Bools(string name) => new(name, BooleanDataViewType.Instance, IsVector: true);

    public DataViewType Type => IsVector ? new VectorDataViewType(ItemType) : ItemType;

    public DataViewSchema.DetachedColumn Detached => new(Name, Type);

    /// <summary>The column in a view.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The view has no such column, or it has another type.</exception>
    public DataViewSchema.Column FindIn(DataViewSchema schema, IExceptionContext context)
    {
        if (schema.GetColumnOrNull(Name) is not { } column)
            throw context.ExceptSchemaMismatch(nameof(schema), "input", Name);
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
            throw context.ExceptSchemaMismatch(nameof(schema), "input", Name);
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
}
