using Microsoft.ML;
using Microsoft.ML.Data;

namespace DiffusionGemma;

/// <summary>Keeps the values of one input column for the rows of a batch, whatever their type.</summary>
internal abstract class ColumnBuffer
{
    /// <summary>Stores the input's current value for a row of the batch.</summary>
    public abstract void Capture(int row);

    /// <summary>Gives a row of the batch no value: zero, or an empty vector.</summary>
    public abstract void Clear(int row);

    /// <summary>The getter of the value of the row that is current when it is called.</summary>
    public abstract Delegate MakeGetter(Func<int> currentRow);

    public static ColumnBuffer Create(DataViewRow input, DataViewSchema.Column column, int rows)
    {
        Type type = column.Type.RawType;
        bool isVector = type.IsGenericType && type.GetGenericTypeDefinition() == typeof(VBuffer<>);
        Type buffer = isVector ? typeof(VectorBuffer<>).MakeGenericType(type.GetGenericArguments())
            : typeof(ValueBuffer<>).MakeGenericType(type);
        return (ColumnBuffer)Activator.CreateInstance(buffer, input, column, rows)!;
    }

    private sealed class ValueBuffer<T>(DataViewRow input, DataViewSchema.Column column, int rows) : ColumnBuffer
    {
        private readonly ValueGetter<T> _get = input.GetGetter<T>(column);
        private readonly T[] _values = new T[rows];

        public override void Capture(int row) => _get(ref _values[row]);

        public override void Clear(int row) => _values[row] = default!;

        public override Delegate MakeGetter(Func<int> currentRow) => (ValueGetter<T>)((ref T value) => value = _values[currentRow()]);
    }

    // Every row has its own buffer, and a reader gets a copy: both sides may write into the arrays that they hold.
    private sealed class VectorBuffer<T>(DataViewRow input, DataViewSchema.Column column, int rows) : ColumnBuffer
    {
        private readonly ValueGetter<VBuffer<T>> _get = input.GetGetter<VBuffer<T>>(column);
        private readonly VBuffer<T>[] _values = new VBuffer<T>[rows];

        public override void Capture(int row) => _get(ref _values[row]);

        public override void Clear(int row) => _values[row] = new VBuffer<T>(column.Type.GetVectorSize(), 0, null, null);

        public override Delegate MakeGetter(Func<int> currentRow) =>
            (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[currentRow()].CopyTo(ref value));
    }
}
