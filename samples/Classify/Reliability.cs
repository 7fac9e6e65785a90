namespace DiffusionGemma.Samples;

/// <summary>Agreement of the predicted labels' scores with the frequencies with which they are right.</summary>
internal static class Reliability
{
    private static readonly double[] Limits = [0.5, 0.7, 0.9, 0.99];

    /// <summary>Prints a line for each range of scores: rows, mean score, share that is right.</summary>
    public static void Print(IEnumerable<(double Score, bool IsRight)> rows)
    {
        double error = 0;
        (double Score, bool IsRight)[] all = [.. rows];
        foreach (IGrouping<int, (double Score, bool IsRight)> range in all.GroupBy(row => Limits.Count(limit => row.Score >= limit))
            .OrderBy(range => range.Key))
        {
            (double mean, double right) = (range.Average(row => row.Score), range.Average(row => row.IsRight ? 1.0 : 0.0));
            error += range.Count() * Math.Abs(mean - right) / all.Length;
            string name = FormattableString.Invariant(
                $"{(range.Key == 0 ? 0 : Limits[range.Key - 1]):0.00} to {(range.Key == Limits.Length ? 1 : Limits[range.Key]):0.00}");
            Console.WriteLine(FormattableString.Invariant($"    {name}   rows {range.Count(),4}   score {mean:F3}   right {right:F3}"));
        }
        Console.WriteLine(FormattableString.Invariant($"    expected calibration error {error:F3}"));
    }
}
