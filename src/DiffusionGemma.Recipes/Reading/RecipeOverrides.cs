namespace DiffusionGemma;

/// <summary>Values of a command line that take the place of a recipe's: <c>--optimizer.lr 1e-5</c>.</summary>
internal static class RecipeOverrides
{
    private const string Prefix = "--";

    /// <summary>Sets the values in the recipe.</summary>
    /// <param name="root">The recipe.</param>
    /// <param name="arguments">As they stand on a command line: <c>--key value</c>, <c>--key=value</c>, or <c>--key</c> for true.</param>
    /// <param name="faults">Receives what is no such argument.</param>
    /// <returns>A sentence for each key that is given again: its last value counts.</returns>
    public static IReadOnlyList<string> Apply(RecipeNode root, IReadOnlyList<string> arguments, ICollection<RecipeFault> faults)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        var again = new SortedSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (!argument.StartsWith(Prefix, StringComparison.Ordinal) || argument.Length == Prefix.Length)
            {
                faults.Add(new RecipeFault(null, "", $"'{argument}' is no override: one is --key value, such as --optimizer.lr 1e-5"));
                continue;
            }
            int equals = argument.IndexOf('=');
            bool takesNext = equals < 0 && i + 1 < arguments.Count && !arguments[i + 1].StartsWith(Prefix, StringComparison.Ordinal);
            string key = argument[Prefix.Length..(equals < 0 ? argument.Length : equals)];
            string value = equals >= 0 ? argument[(equals + 1)..] : takesNext ? arguments[++i] : "true";
            if (value.Length == 0)
            {
                faults.Add(new RecipeFault(null, key, "the value is empty: leave the key out, or give none"));
                continue;
            }
            if (!values.TryAdd(key, value)) again.Add(key);
            values[key] = value;
            Set(root, key, ToNode(value, key, faults), faults);
        }
        return [.. again.Select(key => $"{Prefix}{key} is given more than once: the last value, {values[key]}, counts.")];
    }

    private static void Set(RecipeNode root, string key, RecipeNode value, ICollection<RecipeFault> faults)
    {
        string[] parts = key.Split('.');
        if (parts.Any(part => part.Length == 0) || parts.Length > RecipeYaml.MaxDepth)
        {
            faults.Add(new RecipeFault(null, key, "this is no key: one is optimizer.lr"));
            return;
        }
        RecipeNode node = root;
        foreach (string part in parts[..^1])
        {
            // A copy: an alias elsewhere in the recipe may stand for the same section.
            RecipeNode section = node.Find(part) is { Kind: RecipeNodeKind.Section } found ? found.Copy() : RecipeNode.Section(line: null);
            node.Set(part, section);
            node = section;
        }
        node.Set(parts[^1], value);
    }

    /// <summary>Lists and texts in quotes are read as YAML, which writes them as Python does; all else is a word or a number.</summary>
    private static RecipeNode ToNode(string value, string key, ICollection<RecipeFault> faults)
    {
        if (value is not ['[' or '{' or '"' or '\'', ..])
            return RecipeNode.Scalar(value, isPlain: true, line: null);
        List<RecipeFault> found = [];
        RecipeNode? node = RecipeYaml.ReadAny(value, found, hasLines: false);
        foreach (RecipeFault fault in found)
            faults.Add(new RecipeFault(null, key, $"{value}: {fault.Message}"));
        return node ?? RecipeNode.Scalar("", isPlain: false, line: null);
    }
}
