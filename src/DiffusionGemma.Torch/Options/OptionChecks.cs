namespace DiffusionGemma;

/// <summary>Range checks that name the option at fault.</summary>
internal static class OptionChecks
{
    /// <param name="holds">The condition.</param>
    /// <param name="group">The group of <see cref="FineTuneOptions"/> that holds the option; empty: itself.</param>
    /// <param name="option">The option's name.</param>
    /// <param name="value">Its value.</param>
    /// <param name="rule">The condition in words: "must be at least 1".</param>
    /// <exception cref="ArgumentOutOfRangeException">The condition does not hold; its parameter is the option's full name.</exception>
    public static void Require(bool holds, string group, string option, object? value, string rule)
    {
        if (holds) return;
        string name = $"{nameof(FineTuneOptions)}.{group}{(group.Length > 0 ? "." : "")}{option}";
        throw new ArgumentOutOfRangeException(name, value, $"{name} {rule}.");
    }
}
