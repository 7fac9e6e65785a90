namespace DiffusionGemma.Jinja;

/// <summary>
/// Python's sorted: stable, also in reverse, and by &lt; alone, so that keys without an order (NaN) or of two kinds do what they do there;
/// .NET's own sorts throw errors of their own for those.
/// </summary>
internal static class PySort
{
    public static IReadOnlyList<T> By<T>(IEnumerable<T> items, Func<T, object?> key, bool reverse, Budget budget)
    {
        (T Item, object? Key)[] pairs = [.. items.Select(item => (item, key(item)))];
        if (reverse)
            Array.Reverse(pairs);
        Sort(pairs, new (T, object?)[pairs.Length], budget);
        if (reverse)
            Array.Reverse(pairs);
        return [.. pairs.Select(pair => pair.Item)];
    }

    private static void Sort<T>(Span<(T Item, object? Key)> pairs, Span<(T Item, object? Key)> buffer, Budget budget)
    {
        if (pairs.Length < 2)
            return;
        int middle = pairs.Length / 2;
        Sort(pairs[..middle], buffer, budget);
        Sort(pairs[middle..], buffer, budget);
        pairs.CopyTo(buffer);
        (int left, int right) = (0, middle);
        for (int i = 0; i < pairs.Length; i++)
        {
            bool takesRight = left == middle
                || (right < pairs.Length && PyCompare.Compare("<", buffer[right].Key, buffer[left].Key, budget));
            pairs[i] = takesRight ? buffer[right++] : buffer[left++];
        }
    }
}
