namespace DiffusionGemma;

/// <summary>Splits a range of numbers that are written with a fixed count of digits into products of digit ranges.</summary>
internal static class DigitRanges
{
    /// <summary>
    /// All digit strings between two of the same length, in order.
    /// <code>
    /// 134 .. 257   ->   1 3 [4-9]   1 [4-9] [0-9]   2 [0-4] [0-9]   2 5 [0-7]
    /// </code>
    /// </summary>
    /// <param name="first">The lowest string's digits.</param>
    /// <param name="last">The highest string's digits, as many.</param>
    /// <param name="limits">Lowest and highest digit of each place.</param>
    public static IEnumerable<(int First, int Last)[]> Split(int[] first, int[] last, (int First, int Last)[] limits) =>
        Split(first, last, limits, 0);

    private static IEnumerable<(int First, int Last)[]> Split(int[] first, int[] last, (int First, int Last)[] limits, int place)
    {
        if (place == first.Length)
        {
            yield return [];
            yield break;
        }
        (int from, int to) = (first[place], last[place]);
        if (from == to)
        {
            foreach ((int, int)[] rest in Split(first, last, limits, place + 1)) yield return [(from, from), .. rest];
            yield break;
        }
        int[] lowest = [.. limits.Select(limit => limit.First)], highest = [.. limits.Select(limit => limit.Last)];
        if (!AtLimit(first, lowest, place + 1))
        {
            foreach ((int, int)[] rest in Split(first, highest, limits, place + 1)) yield return [(from, from), .. rest];
            from++;
        }
        bool lastIsWhole = AtLimit(last, highest, place + 1);
        int wholeTo = lastIsWhole ? to : to - 1;
        if (from <= wholeTo) yield return [(from, wholeTo), .. limits[(place + 1)..]];
        if (lastIsWhole) yield break;
        foreach ((int, int)[] rest in Split(lowest, last, limits, place + 1)) yield return [(to, to), .. rest];
    }

    private static bool AtLimit(int[] digits, int[] limit, int place) => digits.AsSpan(place).SequenceEqual(limit.AsSpan(place));
}
