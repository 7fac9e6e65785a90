using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>The delegates through which a row hands out its values.</summary>
internal static class Getters
{
    public static ValueGetter<VBuffer<T>> Vector<T>(Func<T[]> values) => (ref VBuffer<T> target) =>
    {
        T[] source = values();
        VBufferEditor<T> editor = VBufferEditor.Create(ref target, source.Length);
        source.CopyTo(editor.Values);
        target = editor.Commit();
    };

    public static ValueGetter<T> Value<T>(Func<T> value) => (ref T target) => target = value();

    public static ValueGetter<ReadOnlyMemory<char>> Text(Func<string> text) => (ref ReadOnlyMemory<char> target) => target = text()
        .AsMemory();

    public static ValueGetter<VBuffer<ReadOnlyMemory<char>>> Texts(Func<string[]> texts) =>
        Vector(() => Array.ConvertAll(texts(), text => text.AsMemory()));

    /// <summary>Reads a vector column of the row that is current when the result is called.</summary>
    public static Func<T[]> ReadVector<T>(DataViewRow row, DataViewSchema.Column column)
    {
        ValueGetter<VBuffer<T>> getter = row.GetGetter<VBuffer<T>>(column);
        VBuffer<T> buffer = default;
        return () =>
        {
            getter(ref buffer);
            var values = new T[buffer.Length];
            buffer.CopyTo(values);
            return values;
        };
    }

    /// <summary>Reads a vector of texts of the row that is current when the result is called.</summary>
    public static Func<string[]> ReadTexts(DataViewRow row, DataViewSchema.Column column)
    {
        Func<ReadOnlyMemory<char>[]> read = ReadVector<ReadOnlyMemory<char>>(row, column);
        return () => Array.ConvertAll(read(), text => text.ToString());
    }

    /// <summary>Reads a column of the row that is current when the result is called.</summary>
    public static Func<T> ReadValue<T>(DataViewRow row, DataViewSchema.Column column)
        where T : struct
    {
        ValueGetter<T> getter = row.GetGetter<T>(column);
        return () =>
        {
            T value = default;
            getter(ref value);
            return value;
        };
    }

    /// <summary>Caches a computation, so that it runs once a row however many columns need it.</summary>
    public static Func<T> OncePerRow<T>(DataViewRow row, Func<T> compute)
    {
        long position = -1;                                         // that of no row
        T value = default!;
        return () =>
        {
            if (position != row.Position)
            {
                value = compute();
                position = row.Position;
            }
            return value;
        };
    }

    /// <summary>Reads the current row's position in the loaded data.</summary>
    /// <remarks>
    /// ML.NET's row ids survive filters and threads, which cursor positions do not; ids of joined or shuffled views may be no plain
    /// numbers, and then the cursor position is used.
    /// </remarks>
    public static Func<ChatPosition> ReadPosition(DataViewRow row)
    {
        ValueGetter<DataViewRowId> getId = row.GetIdGetter();
        return () =>
        {
            DataViewRowId id = default;
            getId(ref id);
            return new ChatPosition(null, Row: id.High == 0 && id.Low <= long.MaxValue ? (long)id.Low : row.Position);
        };
    }
}
