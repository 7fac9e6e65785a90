namespace DiffusionGemma;

/// <summary>Conversations from a sequence, which is enumerated once a pass over the data.</summary>
internal sealed class EnumerableSource<T>(IEnumerable<T> rows, Func<T, string> toJson) : IChatSource
{
    public long? RowCount => rows.TryGetNonEnumeratedCount(out int count) ? count : null;

    public IEnumerable<RawChatRow> Rows()
    {
        long number = 0;
        foreach (T row in rows)
            yield return Read(row, new ChatPosition(null, Row: number++));
    }

    private RawChatRow Read(T row, ChatPosition position)
    {
        if (row is null)
            return new RawChatRow(default, position, "the row is null");
        try
        {
            return new RawChatRow(StrictUtf8.Instance.GetBytes(toJson(row)), position);
        }
        catch (ArgumentException error)
        {
            return new RawChatRow(default, position, $"a string of the row is no valid UTF-16: {error.Message}", error);
        }
    }
}
