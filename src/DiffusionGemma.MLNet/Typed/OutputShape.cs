using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>The shape of a schema after columns are added.</summary>
internal static class OutputShape
{
    /// <summary>Adds columns, each in the place of an older one of its name.</summary>
    public static SchemaShape Add(SchemaShape schema, IEnumerable<DataViewSchema.DetachedColumn> columns)
    {
        var builder = new DataViewSchema.Builder();
        foreach (DataViewSchema.DetachedColumn column in columns) builder.AddColumn(column.Name, column.Type, column.Annotations);
        SchemaShape added = SchemaShape.Create(builder.ToSchema());
        return new SchemaShape(schema.Where(column => !added.TryFindColumn(column.Name, out _)).Concat(added));
    }
}
