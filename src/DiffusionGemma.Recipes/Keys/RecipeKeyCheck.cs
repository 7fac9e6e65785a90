namespace DiffusionGemma;

/// <summary>Finds unknown keys, and those that have no meaning here.</summary>
internal static class RecipeKeyCheck
{
    private static readonly Dictionary<string, RecipeKey> Known = RecipeKeys.All.ToDictionary(key => key.Path, StringComparer.Ordinal);

    private static readonly HashSet<string> Sections = [.. RecipeKeys.All.SelectMany(key => Parents(key.Path))];

    /// <summary>Checks every key of a recipe.</summary>
    /// <param name="root">The recipe.</param>
    /// <param name="faults">Receives a fault for each unknown key, with the nearest known one.</param>
    /// <returns>A notice for each reason why keys have no meaning here.</returns>
    public static IReadOnlyList<string> Check(RecipeNode root, ICollection<RecipeFault> faults)
    {
        List<(RecipeKey Key, int? Line)> unused = [];
        Walk(root, "", unused, faults);
        return [.. unused.GroupBy(entry => entry.Key.Meaning).Select(group =>
            $"{string.Join(", ", group.Select(entry => entry.Line is int line ? $"{entry.Key.Path} (line {line})" : entry.Key.Path))} "
                + $"{(group.Count() == 1 ? "has" : "have")} no effect: {group.Key}.")];
    }

    private static void Walk(RecipeNode section, string prefix, List<(RecipeKey Key, int? Line)> unused, ICollection<RecipeFault> faults)
    {
        foreach (string name in section.Keys)
        {
            string path = prefix + name;
            RecipeNode value = section.Find(name)!;
            if (Known.TryGetValue(path, out RecipeKey? key))
            {
                if (key.Use != RecipeKeyUse.Used) unused.Add((key, value.Line));
            }
            else if (!Sections.Contains(path))
            {
                faults.Add(new RecipeFault(value.Line, path, $"there is no such key.{Nearest(path, name, prefix)}"));
            }
            else if (value.Kind == RecipeNodeKind.Section)
            {
                Walk(value, path + ".", unused, faults);
            }
            else if (!RecipeScalar.IsNull(value))
            {
                faults.Add(new RecipeFault(value.Line, path, "a section of keys is expected here"));
            }
        }
    }

    /// <summary>The nearest key of the same section; where none is near, one of that name elsewhere.</summary>
    private static string Nearest(string path, string name, string prefix)
    {
        string[] siblings = [.. Known.Keys.Concat(Sections).Where(known => known.StartsWith(prefix, StringComparison.Ordinal))
            .Select(known => known[prefix.Length..].Split('.')[0]).Distinct()];
        string hint = NearestName.Hint(name, siblings);
        if (hint.Length > 0) return hint;
        string[] elsewhere = [.. Known.Keys.Where(known => known.EndsWith($".{name}", StringComparison.Ordinal))];
        if (elsewhere.Length > 0) return $" Did you mean '{elsewhere[0]}'?";
        hint = NearestName.Hint(path, Known.Keys);
        return hint.Length > 0 ? hint : $" Known here: {string.Join(", ", siblings)}.";
    }

    private static IEnumerable<string> Parents(string path)
    {
        for (int dot = path.IndexOf('.'); dot > 0; dot = path.IndexOf('.', dot + 1))
            yield return path[..dot];
    }
}
