using System.Globalization;
using System.Text.Json;

namespace DiffusionGemma;

/// <summary>One object of a config.json, read option by option; errors name the option by its path in the file.</summary>
internal readonly struct ConfigSection(JsonElement element, string source, string path = "")
{
    /// <summary>The options, each once: of equal keys the last counts, as in Python.</summary>
    public IEnumerable<string> Names => element.EnumerateObject().Select(option => option.Name).Distinct();

    public InvalidConfigurationException Error(string option, string problem) => new(source, path + option, problem);

    public bool Has(string option) => Find(option) is not null;

    /// <summary>Returns true if the option is present, also as null.</summary>
    public bool Contains(string option) => element.TryGetProperty(option, out _);

    public ConfigSection Section(string option) =>
        Required(option) is { ValueKind: JsonValueKind.Object } value
            ? new ConfigSection(value, source, $"{path}{option}.")
            : throw Error(option, $"is {Show(option)}; an object was expected.");

    public int Int(string option) =>
        Required(option) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt32(out int number)
            ? number
            : throw Error(option, $"is {Show(option)}; an integer was expected.");

    public bool Bool(string option) =>
        Required(option) is { ValueKind: JsonValueKind.True or JsonValueKind.False } value
            ? value.GetBoolean()
            : throw Error(option, $"is {Show(option)}; true or false was expected.");

    /// <summary>Reads a whole number above zero; returns <paramref name="missing"/> if the option is absent (null is an error).</summary>
    public int PositiveInt(string option, int missing) => Contains(option) ? PositiveInt(option) : missing;

    /// <summary>Reads a whole number above zero and no larger than any model's, so that no file asks for all memory.</summary>
    public int PositiveInt(string option, int missing, int most) =>
        PositiveInt(option, missing) is var number && number <= most
            ? number : throw Error(option, $"is {Show(option)}; it must be at most {most}.");

    public int PositiveInt(string option) =>
        Int(option) is > 0 and var number ? number : throw Error(option, $"is {Show(option)}; it must be above zero.");

    /// <summary>Reads a number above zero; returns <paramref name="missing"/> if the option is absent (null is an error).</summary>
    public double PositiveDouble(string option, double? missing = null)
    {
        if (missing is double value && !Contains(option)) return value;
        double number = Double(option);
        return number > 0 && double.IsFinite(number) ? number : throw Error(option, $"is {Show(option)}; it must be above zero.");
    }

    public double Double(string option) =>
        Required(option) is { ValueKind: JsonValueKind.Number } value && value.TryGetDouble(out double number)
            ? number
            : throw Error(option, $"is {Show(option)}; a number was expected.");

    public string String(string option) =>
        Required(option) is { ValueKind: JsonValueKind.String } value
            ? value.GetString()!
            : throw Error(option, $"is {Show(option)}; a string was expected.");

    /// <summary>Reads a string, or true or false as their words.</summary>
    public string TextOrBool(string option) =>
        Required(option) is { ValueKind: JsonValueKind.True or JsonValueKind.False } value ? value.GetRawText() : String(option);

    /// <summary>Reads an integer or a list of integers.</summary>
    public IReadOnlyList<int> IntOrList(string option)
    {
        if (Required(option).ValueKind != JsonValueKind.Array) return [Int(option)];
        var numbers = new List<int>();
        foreach (JsonElement item in Required(option).EnumerateArray())
            numbers.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number)
                ? number
                : throw Error(option, $"is {Show(option)}; a list of integers was expected."));
        return numbers;
    }

    public IReadOnlyList<string> Strings(string option)
    {
        JsonElement value = Required(option);
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw Error(option, $"is {Show(option)}; a list of strings was expected.");
        return [.. value.EnumerateArray().Select(item => item.GetString()!)];
    }

    /// <summary>Throws for any value but those; a missing option passes, because the reference's default is supported.</summary>
    public void Require(string option, params string[] supported)
    {
        if (element.TryGetProperty(option, out JsonElement value) && !supported.Any(one => IsSame(value, one)))
            throw Error(option, $"is {Show(option)}; only {string.Join(" or ", supported)} is supported.");
    }

    /// <summary>Compares with JSON text; numbers by their values: 0.00 is 0.</summary>
    private static bool IsSame(JsonElement value, string json) =>
        value.GetRawText() == json
        || value.ValueKind == JsonValueKind.Number && double.TryParse(json, CultureInfo.InvariantCulture, out double number)
            && value.GetDouble() == number;

    private JsonElement? Find(string option) =>
        element.TryGetProperty(option, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private JsonElement Required(string option) => Find(option) ?? throw Error(option, Contains(option) ? "is null." : "is missing.");

    private string Show(string option) =>
        element.GetProperty(option).GetRawText() is { Length: > 80 } text ? text[..80] + "..." : element.GetProperty(option).GetRawText();
}
