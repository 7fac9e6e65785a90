using System.Globalization;

namespace DiffusionGemma;

/// <summary>Names of the noise levels that held-out losses are measured at.</summary>
internal static class NoiseLevel
{
    /// <summary>t of a level: the middle of its part of 0 to 1, as "t=0.05".</summary>
    public static string Name(int level, int levels) =>
        string.Create(CultureInfo.InvariantCulture, $"t={(level + 0.5) / levels:0.0#}");
}
