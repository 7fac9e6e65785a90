namespace DiffusionGemma;

/// <summary>Rows of a quantised weight or stack, numbered through: the slices one after another, of each its matrices.</summary>
/// <param name="weight">Lives as long as this is used.</param>
internal sealed unsafe class QuantizedWeightRows(StoredWeight weight) : IStoredRows
{
    private readonly long _height = weight.Shape[^2];
    private readonly QuantizedRows[][] _slices = [.. weight.Slices.Select(slice => Array.ConvertAll(slice, matrix => matrix.View()))];

    public long Columns { get; } = weight.Shape[^1];

    public void Widen(long first, long count, float* to)
    {
        long start = first / _height * _height;
        foreach (QuantizedRows[] slice in _slices.AsSpan((int)(first / _height)))
            foreach (ref readonly QuantizedRows matrix in slice.AsSpan())
            {
                if (count == 0) return;
                long live = Math.Min(count, start + matrix.Rows - first);
                if (live > 0)
                {
                    WideningRows.Run(matrix, first - start, live, 0, Columns, to);
                    (first, count) = (first + live, count - live);
                    to += live * Columns;
                }
                start += matrix.Rows;
            }
        GC.KeepAlive(weight);
    }
}
