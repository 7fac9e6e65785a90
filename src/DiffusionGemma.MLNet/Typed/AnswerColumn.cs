using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>A column that is read from a JSON answer.</summary>
/// <param name="Name">The column's name: the properties on the way, with dots between them.</param>
/// <param name="Path">The JSON names on the way.</param>
/// <param name="Kind">Type of its values.</param>
/// <param name="IsVector">True for an array of values.</param>
/// <param name="Keys">The values of a key, in order; empty for other kinds.</param>
internal sealed record AnswerColumn(string Name, IReadOnlyList<string> Path, ColumnKind Kind, bool IsVector, IReadOnlyList<string> Keys)
{
    /// <summary>The column as a schema holds it, with the values of its keys.</summary>
    public DataViewSchema.DetachedColumn Detach()
    {
        PrimitiveDataViewType item = Kind switch
        {
            ColumnKind.Text => TextDataViewType.Instance,
            ColumnKind.Integer => NumberDataViewType.Int64,
            ColumnKind.Boolean => BooleanDataViewType.Instance,
            ColumnKind.Single => NumberDataViewType.Single,
            ColumnKind.Double => NumberDataViewType.Double,
            _ => new KeyDataViewType(typeof(uint), Keys.Count),
        };
        DataViewType type = IsVector ? new VectorDataViewType(item) : item;
        return new DataViewSchema.DetachedColumn(Name, type, Kind == ColumnKind.Key ? KeyValues.Annotate(Keys) : null);
    }
}
