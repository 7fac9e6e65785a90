using System.Globalization;

namespace DiffusionGemma;

/// <summary>Numbers with the word for what is counted: <c>1 row</c>, <c>2 rows</c>.</summary>
internal static class Counted
{
    public static string Rows(long count) => Of(count, "row", "rows");

    public static string Of(long count, string one, string many) =>
        string.Create(CultureInfo.InvariantCulture, $"{count} {Word(count, one, many)}");

    public static string Word(long count, string one, string many) => count == 1 ? one : many;
}
