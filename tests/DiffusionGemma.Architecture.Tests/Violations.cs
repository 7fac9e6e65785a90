namespace DiffusionGemma;

/// <summary>Fails a test with the list of violations that it found.</summary>
internal static class Violations
{
    /// <param name="rule">The name of the rule, which begins each line of the failure.</param>
    /// <param name="found">The name of each violation, and the sentence that a failure prints.</param>
    public static void RequireNone(string rule, IEnumerable<(string Name, string Text)> found)
    {
        string[] faults = [.. found.GroupBy(one => one.Name, one => one.Text).Select(
            one => $"{rule}: {one.Key}\n    {string.Join("\n    ", one)}")];
        Assert.True(faults.Length == 0, string.Join("\n", faults));
    }
}
