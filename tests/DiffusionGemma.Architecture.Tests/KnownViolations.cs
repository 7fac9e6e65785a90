namespace DiffusionGemma;

/// <summary>
/// Compares violations with those that are still accepted, one "rule: name" a line of known-violations.txt: a new one fails its test, and
/// so does a line that is no longer needed.
/// </summary>
internal static class KnownViolations
{
    /// <param name="rule">The first word of this rule's lines.</param>
    /// <param name="found">The name of each violation, and the sentence that a failure prints.</param>
    public static void Check(string rule, IEnumerable<(string Name, string Text)> found)
    {
        ILookup<string, string> violations = found.ToLookup(one => one.Name, one => one.Text);
        string start = rule + ": ";
        string path = Path.Combine(Fixtures.Root, "tests", "DiffusionGemma.Architecture.Tests", "known-violations.txt");
        string[] known =
            [.. File.ReadLines(path).Where(line => line.StartsWith(start, StringComparison.Ordinal)).Select(line => line[start.Length..])];
        string[] faults =
        [
            .. violations.Where(violation => !known.Contains(violation.Key))
                .Select(violation => $"{start}{violation.Key}\n    {string.Join("\n    ", violation)}"),
            .. known.Where(name => !violations.Contains(name))
                .Select(name => $"known-violations.txt: remove the line \"{start}{name}\", which is no longer needed."),
        ];
        Assert.True(faults.Length == 0, string.Join("\n", faults));
    }
}
