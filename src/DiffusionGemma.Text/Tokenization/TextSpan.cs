namespace DiffusionGemma;

/// <summary>A part of a text, in UTF-16 units.</summary>
/// <param name="Start">The first unit.</param>
/// <param name="End">One after the last unit.</param>
public readonly record struct TextSpan(int Start, int End)
{
    /// <summary>Units covered.</summary>
    public int Length => End - Start;

    /// <summary>True if the two share at least one unit.</summary>
    public bool Overlaps(TextSpan other) => Math.Max(Start, other.Start) < Math.Min(End, other.End);
}
