namespace DiffusionGemma;

/// <summary>Finds the dependencies between folders that are part of a circle.</summary>
internal static class FolderCircles
{
    /// <summary>The arrows from whose end a path leads back to their start.</summary>
    public static IReadOnlyList<(string From, string To)> Find(IReadOnlyCollection<(string From, string To)> arrows)
    {
        ILookup<string, string> next = arrows.ToLookup(arrow => arrow.From, arrow => arrow.To);
        return [.. arrows.Where(arrow => Reachable(arrow.To).Contains(arrow.From))];

        HashSet<string> Reachable(string start)
        {
            var seen = new HashSet<string> { start };
            var open = new Stack<string>([start]);
            while (open.TryPop(out string? folder))
                foreach (string to in next[folder])
                    if (seen.Add(to)) open.Push(to);
            return seen;
        }
    }
}
