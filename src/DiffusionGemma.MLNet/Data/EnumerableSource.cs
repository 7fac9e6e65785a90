namespace DiffusionGemma;

/// <summary>Conversations from memory or from whatever the sequence reads; it is enumerated anew for every pass over the data.</summary>
internal sealed class EnumerableSource<T>(IEnumerable<T> rows, Func<T, string> toJson) : IChatSource
{
    private static readonly ChatDataOptions Plain = new();

    public long? RowCount => rows.TryGetNonEnumeratedCount(out int count) ? count : null;

    public IEnumerable<string> Rows()
    {
        long number = 0;
        foreach (T row in rows)
        {
            var position = new ChatPosition(null, Row: number++);
            if (row is null)
                throw new ChatDataException("the row is null", position);
            yield return ChatRow.Read(Utf8(row, position), Plain, position);
        }
    }

    private byte[] Utf8(T row, ChatPosition position)
    {
        try
        {
            return StrictUtf8.Instance.GetBytes(toJson(row));
        }
        catch (ArgumentException error)
        {
            throw new ChatDataException($"a string of the row is no valid UTF-16: {error.Message}", position, error);
        }
    }
}
