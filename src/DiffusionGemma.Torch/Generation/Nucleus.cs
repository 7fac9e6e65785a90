using System.Numerics;

namespace DiffusionGemma;

/// <summary>The most likely tokens of a distribution on the host: so many, or those that add up to a probability.</summary>
internal static class Nucleus
{
    /// <summary>The logits with all tokens outside the nucleus impossible.</summary>
    /// <param name="logits">[V].</param>
    /// <param name="topK">The number of most likely tokens; 0: all.</param>
    /// <param name="topP">The probability that the fewest most likely of these must add up to; 1: all.</param>
    public static T[] Narrow<T>(ReadOnlySpan<T> logits, int topK, double topP)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T[] narrowed = logits.ToArray();
        int[] ids = [.. Enumerable.Range(0, narrowed.Length)];
        // Descending; of equals the lower id first.
        Array.Sort(ids, (a, b) => narrowed[b].CompareTo(narrowed[a]) is var by && by != 0 ? by : a.CompareTo(b));
        int kept = topK > 0 ? Math.Min(topK, ids.Length) : ids.Length;
        if (topP < 1)
        {
            double largest = double.CreateChecked(narrowed[ids[0]]);
            double[] weights = [.. ids[..kept].Select(id => Math.Exp(double.CreateChecked(narrowed[id]) - largest))];
            double target = topP * weights.Sum(), sum = 0;
            int needed = 0;
            while (needed < kept && sum < target) sum += weights[needed++];
            kept = needed;
        }
        foreach (int id in ids.AsSpan(kept)) narrowed[id] = T.NegativeInfinity;
        return narrowed;
    }
}
