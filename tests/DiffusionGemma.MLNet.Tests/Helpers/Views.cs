using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Data views as text that tests can compare.</summary>
internal static class Views
{
    /// <summary>Lists every row's values of the named columns, or of all.</summary>
    public static string[] Dump(IDataView view, params string[] names)
    {
        DataViewSchema.Column[] columns = [.. view.Schema.Where(column => !column.IsHidden
            && (names.Length == 0 || names.Contains(column.Name)))];
        using DataViewRowCursor cursor = view.GetRowCursor(columns);
        return [.. Read(cursor, columns)];
    }

    /// <summary>Lists the rows of a cursor, one when it is asked for.</summary>
    public static IEnumerable<string> Read(DataViewRowCursor cursor, DataViewSchema.Column[] columns)
    {
        Func<string>[] readers = [.. columns.Select(column => Reader(cursor, column))];
        while (cursor.MoveNext())
            yield return string.Join(" | ", readers.Select((read, i) => $"{columns[i].Name}={read()}"));
    }

    public static string[] Columns(DataViewSchema schema) =>
        [.. schema.Where(column => !column.IsHidden).Select(column => $"{column.Name}:{column.Type}")];

    private static Func<string> Reader(DataViewRow row, DataViewSchema.Column column) => column.Type switch
    {
        TextDataViewType => Scalar<ReadOnlyMemory<char>>(row, column),
        NumberDataViewType type when type == NumberDataViewType.Int32 => Scalar<int>(row, column),
        NumberDataViewType type when type == NumberDataViewType.Int64 => Scalar<long>(row, column),
        NumberDataViewType type when type == NumberDataViewType.Single => Scalar<float>(row, column),
        NumberDataViewType type when type == NumberDataViewType.Double => Scalar<double>(row, column),
        BooleanDataViewType => Scalar<bool>(row, column),
        KeyDataViewType => Scalar<uint>(row, column),
        VectorDataViewType { ItemType: BooleanDataViewType } => Vector<bool>(row, column),
        VectorDataViewType { ItemType: KeyDataViewType } => Vector<uint>(row, column),
        VectorDataViewType vector when vector.ItemType == NumberDataViewType.Int64 => Vector<long>(row, column),
        VectorDataViewType vector when vector.ItemType == NumberDataViewType.Single => Vector<float>(row, column),
        VectorDataViewType vector when vector.ItemType == NumberDataViewType.Double => Vector<double>(row, column),
        VectorDataViewType { ItemType: NumberDataViewType } => Vector<int>(row, column),
        VectorDataViewType { ItemType: TextDataViewType } => Vector<ReadOnlyMemory<char>>(row, column),
        _ => throw new NotSupportedException($"column {column.Name} of {column.Type}"),
    };

    private static Func<string> Scalar<T>(DataViewRow row, DataViewSchema.Column column)
        where T : struct
    {
        Func<T> read = Getters.ReadValue<T>(row, column);
        return () => string.Create(CultureInfo.InvariantCulture, $"{read()}");
    }

    private static Func<string> Vector<T>(DataViewRow row, DataViewSchema.Column column)
    {
        Func<T[]> read = Getters.ReadVector<T>(row, column);
        return () => string.Join(",", read().Select(value => string.Create(CultureInfo.InvariantCulture, $"{value}")));
    }
}
