namespace DiffusionGemma;

/// <summary>One fault of a recipe.</summary>
/// <param name="Line">The line of the file, from 1; null for a fault of an override, or of what is missing.</param>
/// <param name="Key">The key at fault, such as <c>optimizer.lr</c>; empty where the fault is not a key's.</param>
/// <param name="Message">The fault, and what to do.</param>
public sealed record RecipeFault(int? Line, string Key, string Message)
{
    /// <summary>Line, key and message in one line.</summary>
    public override string ToString() => (Line is int line ? $"line {line}: " : "") + (Key.Length > 0 ? $"{Key}: " : "") + Message;
}
