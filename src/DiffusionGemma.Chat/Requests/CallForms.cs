namespace DiffusionGemma;

/// <summary>The form in which calls and results are given to a chat template: not all take every value.</summary>
/// <param name="ResultsAreText">True writes a result that is an object as JSON text.</param>
/// <param name="NullsAreLeftOut">True leaves out arguments of earlier calls that are null.</param>
internal readonly record struct CallForms(bool ResultsAreText, bool NullsAreLeftOut)
{
    /// <summary>All forms, the one that keeps most first.</summary>
    public static IReadOnlyList<CallForms> All { get; } = [new(false, false), new(true, false), new(false, true), new(true, true)];
}
