using System.Globalization;

namespace DiffusionGemma.Benchmarks;

/// <summary>Prints what was measured, and nothing else, on standard output.</summary>
internal static class Figure
{
    public static void Print(string name, double value, string unit) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"figure {name} {value:0.####} {unit}"));

    public static void Note(string text) => Console.Error.WriteLine(text);
}
