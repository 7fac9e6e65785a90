namespace DiffusionGemma;

/// <summary>Exponential moving averages.</summary>
internal static class Smoother
{
    /// <summary>
    /// The average of each value and those before it, each weighted by <paramref name="weight"/> to the power of its distance. Values that
    /// are not finite stay as they are, and the average goes on behind them.
    /// </summary>
    /// <param name="values">In the order of the steps.</param>
    /// <param name="weight">From 0 to below 1.</param>
    public static double[] Smooth(IReadOnlyList<double> values, double weight)
    {
        var smoothed = new double[values.Count];
        double sum = 0, weights = 0;
        for (int i = 0; i < smoothed.Length; i++)
        {
            if (!double.IsFinite(values[i]))
            {
                smoothed[i] = values[i];
                continue;
            }
            (sum, weights) = (sum * weight + values[i], weights * weight + 1);
            smoothed[i] = sum / weights;
        }
        return smoothed;
    }
}
