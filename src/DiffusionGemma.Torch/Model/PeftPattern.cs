using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>
/// PEFT's rank_pattern or alpha_pattern: numbers by regular expressions over names in transformers. The first expression that matches a
/// whole name, or its last parts, applies (peft.utils.other.get_pattern_key).
/// </summary>
internal sealed class PeftPattern
{
    public static readonly PeftPattern None = new([]);
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(1);
    private readonly (string Key, Regex Regex, double Value)[] _entries;

    public PeftPattern(IEnumerable<KeyValuePair<string, double>> entries) =>
        _entries =
        [
            .. entries.Select(e => (e.Key, Translate(e.Key), e.Value)),
        ];

    /// <summary>Finds a name's number; <paramref name="otherwise"/> where no expression matches.</summary>
    public double Find(string name, double otherwise)
    {
        foreach ((_, Regex regex, double value) in _entries)
            if (IsMatch(regex, name))
                return value;
        return otherwise;
    }

    /// <exception cref="AdapterException">The expression takes too long.</exception>
    private static bool IsMatch(Regex regex, string name)
    {
        try
        {
            return regex.IsMatch(name);
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new AdapterException(
                $"{PeftConfig.FileName}: the expression '{regex}' of rank_pattern or alpha_pattern takes longer than "
                + $"{MatchTimeout.TotalSeconds} s to match '{name}'. Write it without repetitions inside repetitions.", e);
        }
    }

    /// <summary>Lists the expressions that match none of the names.</summary>
    public IEnumerable<string> FindUnmatched(IReadOnlyCollection<string> names) =>
        _entries.Where(e => !names.Any(name => IsMatch(e.Regex, name))).Select(e => e.Key);

    /// <summary>Parses a pattern.</summary>
    /// <exception cref="FormatException">Not an object of positive numbers by regular expressions; the message continues a
    /// sentence.</exception>
    public static PeftPattern Parse(JsonNode? node, bool whole)
    {
        if (node is null) return None;
        if (node is not JsonObject entries) throw new FormatException("expected numbers by module names");
        double Number(string key, JsonNode? value) =>
            value is JsonValue v && v.GetValueKind() == JsonValueKind.Number && v.TryGetValue(out double number) && number > 0
                && (!whole || number is <= int.MaxValue && number == Math.Floor(number))
                ? number
                : throw new FormatException($"expected a positive {(whole ? "whole " : "")}number for '{key}'");
        try
        {
            return new PeftPattern([.. entries.Select(e => KeyValuePair.Create(e.Key, Number(e.Key, e.Value)))]);
        }
        catch (ArgumentException e)
        {
            throw new FormatException($"expected regular expressions ({e.Message})", e);
        }
    }

    /// <summary>Writes the expressions in the order in which they were read, since the first match applies.</summary>
    public JsonObject ToJson() => new(_entries.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)PeftConfig.Number(e.Value))));

    /// <summary>Translates Python's named groups, <c>(?P&lt;name&gt;...)</c>, to .NET's.</summary>
    private static Regex Translate(string key) =>
        new($"^(.*\\.)?({key.Replace("(?P<", "(?<", StringComparison.Ordinal)})$", RegexOptions.CultureInvariant, MatchTimeout);

    public override string ToString() =>
        string.Join(", ", _entries.Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Key} {e.Value}")));
}
