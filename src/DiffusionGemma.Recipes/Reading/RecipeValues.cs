using System.Globalization;

namespace DiffusionGemma;

/// <summary>Typed values of a recipe by their keys; what has another type, or is out of range, is added to the faults.</summary>
/// <param name="root">The recipe.</param>
/// <param name="faults">Receives what is wrong.</param>
internal sealed class RecipeValues(RecipeNode root, ICollection<RecipeFault> faults)
{
    /// <summary>True if the key has a value.</summary>
    public bool Has(string key) => Find(key) is not null;

    /// <summary>The node of a key; null where the key is missing or stands for nothing.</summary>
    public RecipeNode? Find(string key)
    {
        RecipeNode? node = root;
        foreach (string part in key.Split('.'))
            node = node?.Find(part);
        return node is null || RecipeScalar.IsNull(node) ? null : node;
    }

    /// <summary>True if the key is there and stands for nothing.</summary>
    public bool IsNull(string key)
    {
        RecipeNode? node = root;
        foreach (string part in key.Split('.'))
            node = node?.Find(part);
        return node is not null && RecipeScalar.IsNull(node);
    }

    public void Fault(string key, string message) => faults.Add(new RecipeFault(Find(key)?.Line, key, message));

    public string? Text(string key)
    {
        if (Find(key) is not { } node) return null;
        if (!IsTruthValue(node)) return Word(key);
        Fault(key, TruthValue(node));
        return null;
    }

    /// <summary>A text of a few that are possible.</summary>
    public string? Choice(string key, params string[] choices)
    {
        if (Word(key) is not { } text || choices.Contains(text)) return Word(key);
        Fault(key, $"'{text}' is not one of {string.Join(", ", choices)}.{NearestName.Hint(text, choices)}");
        return null;
    }

    public bool? Boolean(string key)
    {
        if (Find(key) is not { } node) return null;
        if (RecipeScalar.ToBoolean(node) is bool value) return value;
        Fault(key, $"{Describe(node)} is neither true nor false");
        return null;
    }

    public int? Integer(string key, int least = 1, int most = int.MaxValue)
    {
        if (Find(key) is not { } node) return null;
        if (node.Kind == RecipeNodeKind.Scalar && RecipeScalar.ToInteger(node.Text) is { } value)
        {
            if (value >= least && value <= most) return (int)value;
            Fault(key, value < least ? $"{value} must be at least {least}" : $"{value} must be at most {most}");
            return null;
        }
        bool isDecimal = node.Kind == RecipeNodeKind.Scalar && RecipeScalar.ToDouble(node.Text) is not null;
        Fault(key, $"{Describe(node)} is no {(isDecimal ? "whole number" : "number")}");
        return null;
    }

    /// <summary>A number in a range.</summary>
    /// <param name="key">The key.</param>
    /// <param name="isValid">The range.</param>
    /// <param name="rule">The range in words: "must not be negative".</param>
    public double? Number(string key, Func<double, bool> isValid, string rule)
    {
        if (Find(key) is not { } node) return null;
        return Number(node, key, isValid, rule);
    }

    /// <summary>A list of numbers.</summary>
    public double[]? Numbers(string key, int count, Func<double, bool> isValid, string rule)
    {
        if (Find(key) is not { } node) return null;
        if (node.Kind != RecipeNodeKind.List || node.Items.Count != count)
        {
            Fault(key, $"a list of {count} numbers is expected, such as [0.9, 0.99]");
            return null;
        }
        double?[] numbers = [.. node.Items.Select(item => Number(item, key, isValid, rule))];
        return numbers.All(number => number is not null) ? [.. numbers.Select(number => number!.Value)] : null;
    }

    /// <summary>A text, or a list of such.</summary>
    public string[]? Texts(string key)
    {
        if (Find(key) is not { } node) return null;
        IReadOnlyList<RecipeNode> items = node.Kind == RecipeNodeKind.List ? node.Items : [node];
        if (items.FirstOrDefault(IsTruthValue) is { } truth)
        {
            Fault(key, TruthValue(truth));
            return null;
        }
        if (items.Count > 0 && items.All(item => item.Kind == RecipeNodeKind.Scalar && item.Text.Length > 0))
            return [.. items.Select(item => item.Text)];
        Fault(key, "a text or a list of texts is expected");
        return null;
    }

    /// <summary>Requires a value where there is one.</summary>
    public void Require(string key, bool expected, string reason)
    {
        if (Boolean(key) is bool value && value != expected)
            Fault(key, $"must be {(expected ? "true" : "false")}: {reason}");
    }

    private string? Word(string key)
    {
        if (Find(key) is not { } node) return null;
        if (node.Kind == RecipeNodeKind.Scalar && node.Text.Length > 0) return node.Text;
        Fault(key, $"{Describe(node)} is no text");
        return null;
    }

    /// <summary>True for a truth value where a text is expected: above all, of a key of the command line without a value.</summary>
    private static bool IsTruthValue(RecipeNode node) =>
        node is { Kind: RecipeNodeKind.Scalar, IsPlain: true } && RecipeScalar.ToBoolean(node) is not null;

    private static string TruthValue(RecipeNode node) =>
        $"{Describe(node)} is a truth value, where a text is expected: give one, in quotes if it is this word";

    private double? Number(RecipeNode node, string key, Func<double, bool> isValid, string rule)
    {
        if (node.Kind != RecipeNodeKind.Scalar || RecipeScalar.ToDouble(node.Text) is not double value)
        {
            faults.Add(new RecipeFault(node.Line, key, $"{Describe(node)} is no number"));
            return null;
        }
        if (isValid(value)) return value;
        faults.Add(new RecipeFault(node.Line, key, string.Create(CultureInfo.InvariantCulture, $"{value} {rule}")));
        return null;
    }

    private static string Describe(RecipeNode node) => node.Kind switch
    {
        RecipeNodeKind.List => "a list",
        RecipeNodeKind.Section => "a section of keys",
        _ => node.Text.Length <= 60 ? $"'{node.Text}'" : $"'{node.Text[..60]}...'",
    };
}
