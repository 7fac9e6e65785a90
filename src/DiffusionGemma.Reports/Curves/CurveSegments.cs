namespace DiffusionGemma;

/// <summary>The parts of a curve between values that cannot be drawn.</summary>
internal static class CurveSegments
{
    /// <summary>Runs of finite values, each with its steps.</summary>
    /// <param name="steps">The x of each value.</param>
    /// <param name="values">As many.</param>
    public static IEnumerable<(double[] Steps, double[] Values)> Finite(IReadOnlyList<double> steps, IReadOnlyList<double> values)
    {
        int first = 0;
        for (int i = 0; i <= values.Count; i++)
        {
            if (i < values.Count && double.IsFinite(values[i])) continue;
            if (i > first) yield return ([.. steps.Skip(first).Take(i - first)], [.. values.Skip(first).Take(i - first)]);
            first = i + 1;
        }
    }

    /// <summary>The steps whose value is not finite.</summary>
    public static double[] NotFinite(IReadOnlyList<double> steps, IReadOnlyList<double> values) =>
        [.. steps.Where((_, i) => !double.IsFinite(values[i]))];
}
