using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Reads a JSON schema as the language of its instances in the one form of <see cref="JsonForm"/>: compact, properties in the schema's
/// order, numbers without exponents.
/// </summary>
internal sealed class JsonSchemaReader
{
    private const int MostNested = 100;

    /// <summary>The largest <c>multipleOf</c> of integers: its automaton has a state for each remainder.</summary>
    private const int LargestDivisor = 1000;

    private static readonly HashSet<string> Annotations =
    [
        "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated",
            "readOnly", "writeOnly",
    ];

    private static readonly Dictionary<string, string[]> Keywords = new()
    {
        ["object"] = ["properties", "required", "additionalProperties"],
        ["string"] = ["minLength", "maxLength", "pattern", "format"],
        ["integer"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        ["number"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        ["array"] = ["items", "minItems", "maxItems"],
        ["boolean"] = [],
        ["null"] = [],
    };

    private readonly JsonNode _root;
    private readonly GrammarOptions _options;
    private readonly ValueForm _form;
    private readonly Dictionary<string, int> _open = [];

    /// <summary>Languages of references by what they are and how often each reference is open around them: read once.</summary>
    private readonly Dictionary<string, Language> _read = [];
    private int _nested;

    private JsonSchemaReader(JsonNode root, GrammarOptions options, ValueForm form)
    {
        _root = root;
        _options = options;
        _form = form;
    }

    /// <summary>The language of a schema's instances, over bytes.</summary>
    /// <exception cref="GrammarException">The schema is malformed, or a part of it is not supported: the part is named by its
    /// path.</exception>
    public static Language Read(string schema, GrammarOptions options) => Read(schema, options, JsonValueForm.Instance);

    /// <inheritdoc cref="Read(string, GrammarOptions)"/>
    /// <param name="schema">The schema.</param>
    /// <param name="options">Limits.</param>
    /// <param name="form">How values are written.</param>
    public static Language Read(string schema, GrammarOptions options, ValueForm form)
    {
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(
                schema, documentOptions: new JsonDocumentOptions { MaxDepth = 2 * MostNested, AllowDuplicateProperties = false });
            RequireUnicode(root);
        }
        // An InvalidOperationException or ArgumentException: half a surrogate pair, as an escape or as it is.
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new GrammarException($"The schema is no JSON: {e.Message}");
        }
        if (root is not JsonObject)
            throw new GrammarException("A schema is a JSON object, such as {\"type\":\"object\",\"properties\":{...}}.", "#");
        return new JsonSchemaReader(root, options, form).Schema(root, "#");
    }

    /// <summary>Reads every name and text, which are decoded no earlier.</summary>
    private static void RequireUnicode(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject item:
                foreach ((_, JsonNode? value) in item) RequireUnicode(value);
                break;
            case JsonArray list:
                foreach (JsonNode? value in list) RequireUnicode(value);
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                value.GetValue<string>();
                break;
        }
    }

    private Language Schema(JsonNode? node, string path)
    {
        if (++_nested > MostNested) throw Fault(path, $"is nested more than {MostNested} deep");
        try
        {
            if (node is JsonValue value && value.TryGetValue(out bool allowed))
            {
                if (!allowed) return new Language.Part(path, Language.Nothing);
                throw Fault(path, "allows any value: give it a type");
            }
            if (node is not JsonObject schema) throw Fault(path, "is no schema: an object is expected");
            return new Language.Part(path, Keyworded(schema, path));
        }
        finally
        {
            _nested--;
        }
    }

    private Language Keyworded(JsonObject schema, string path)
    {
        if (schema["$ref"] is { } reference)
        {
            Require(schema, path, ["$ref"]);
            return Reference(Text(reference, path + "/$ref"), path);
        }
        if (schema.ContainsKey("const"))
        {
            Require(schema, path, ["const", "type"]);
            return Literals([schema["const"]], schema, path + "/const");
        }
        if (schema["enum"] is { } values)
        {
            Require(schema, path, ["enum", "type"]);
            if (values is not JsonArray { Count: > 0 } literals) throw Fault(path + "/enum", "must be an array with a value");
            return Literals(literals, schema, path + "/enum");
        }
        foreach (string keyword in (string[])["anyOf", "oneOf"])
        {
            if (schema[keyword] is not { } alternatives) continue;
            Require(schema, path, [keyword]);
            if (alternatives is not JsonArray { Count: > 0 } array) throw Fault($"{path}/{keyword}", "must be an array with a schema");
            Language[] options = [.. array.Select((option, index) => Schema(option, $"{path}/{keyword}/{index}"))];
            if (keyword == "oneOf") RequireDisjoint(options, $"{path}/oneOf");
            return new Language.Choice(options);
        }
        string[] types = Types(schema, path);
        Require(schema, path, ["type", .. types.SelectMany(type => Keywords[type])]);
        return new Language.Choice([.. types.Select(type => Typed(type, schema, path))]);
    }

    private static string[] Types(JsonObject schema, string path)
    {
        JsonNode? type = schema["type"] ?? (schema.ContainsKey("properties") ? JsonValue.Create("object") : null);
        if (type is null)
        {
            Require(schema, path, ["type", "enum", "const", "anyOf", "oneOf", "$ref", .. Keywords.Values.SelectMany(names => names)],
                "type, enum, const, anyOf, oneOf and $ref");
            throw Fault(path, "allows any value: give it a type, an enum, a const, anyOf, oneOf or $ref");
        }
        string[] types = type is JsonArray several ? [.. several.Select(one => Text(one, path + "/type"))] : [Text(type, path + "/type")];
        if (types.Length == 0) throw Fault(path + "/type", "names no type");
        if (types.FirstOrDefault(one => !Keywords.ContainsKey(one)) is { } unknown)
            throw Fault(path + "/type", $"is {unknown}: {string.Join(", ", Keywords.Keys)} are read");
        // Every integer is a number: two spellings of one value would be one string twice, which is harmless.
        return [.. types.Distinct()];
    }

    private Language Typed(string type, JsonObject schema, string path) => type switch
    {
        "object" => Object(schema, path),
        "array" => Array(schema, path),
        "string" => String(schema, path),
        "integer" => Integer(schema, path),
        "number" => Number(schema, path),
        "boolean" => new Language.Choice([Language.Text("true"), Language.Text("false")]),
        _ => Language.Text("null"),
    };

    /// <summary>
    /// Properties in their order; those that are not required may be missing. A comma follows only where one was written before.
    /// </summary>
    private Language Object(JsonObject schema, string path)
    {
        if (schema["additionalProperties"] is { } additional && additional.GetValueKind() == JsonValueKind.Object)
            throw Fault(path + "/additionalProperties", "asks for properties of any name: name each in properties");
        if (schema["properties"] is not null and not JsonObject) throw Fault(path + "/properties", "must be an object");
        var properties = schema["properties"] as JsonObject ?? [];
        var required = new HashSet<string>();
        if (schema["required"] is JsonArray names) required = [.. names.Select(name => Text(name, path + "/required"))];
        else if (schema["required"] is not null) throw Fault(path + "/required", "must be an array of names");
        if (required.FirstOrDefault(name => !properties.ContainsKey(name)) is { } missing)
            throw Fault(path + "/required", $"names {missing}, which properties does not describe");

        (Language, bool)[] pairs =
        [
            .. _form.Order(properties).Select(property => ((Language)new Language.Sequence(
                [_form.Key(property.Key, path), Schema(property.Value, $"{path}/properties/{Pointer(property.Key)}")]),
                required.Contains(property.Key))),
        ];
        return new Language.Sequence([Language.Text("{"), new Language.Properties(pairs), Language.Text("}")]);
    }

    private Language Array(JsonObject schema, string path)
    {
        if (schema["items"] is not { } items) throw Fault(path, "is an array of any values: give it items");
        int least = Count(schema, "minItems", path) ?? 0;
        int? most = Count(schema, "maxItems", path);
        if (most < least) throw Fault(path, $"has minItems {least} above maxItems {most}");
        if (most == 0) return Language.Text("[]");
        Language item = Schema(items, path + "/items"), next = new Language.Sequence([Language.Text(","), item]);
        Language listed = least <= 1 && most is null
            ? new Language.List(item)
            : new Language.Sequence([item, new Language.Repeat(next, Math.Max(least, 1) - 1, most - 1)]);
        Language some = new Language.Sequence([Language.Text("["), listed, Language.Text("]")]);
        return least == 0 ? new Language.Choice([Language.Text("[]"), some]) : some;
    }

    private Language String(JsonObject schema, string path)
    {
        int least = Count(schema, "minLength", path) ?? 0;
        int? most = Count(schema, "maxLength", path);
        if (most < least) throw Fault(path, $"has minLength {least} above maxLength {most}");
        bool hasLength = least > 0 || most is not null;
        Language any = new Language.Repeat(new Language.Characters(CodePointSet.All), least, most);
        var all = new List<Language>();
        if (schema["pattern"] is { } pattern)
        {
            string text = Text(pattern, path + "/pattern");
            try
            {
                all.Add(PatternParser.Parse(text, isSearch: true));
            }
            catch (GrammarException e)
            {
                throw new GrammarException($"{path}/pattern: {e.Message}", path + "/pattern");
            }
        }
        if (schema["format"] is { } format)
        {
            string name = Text(format, path + "/format");
            string readable = string.Join(", ", StringFormats.Names);
            string known = StringFormats.Pattern(name)
                ?? throw Fault(path + "/format", $"is {name}: {readable} are read. Give a pattern in its place");
            all.Add(PatternParser.Parse(known));
        }
        bool withControls = all.Count > 0;                                                     // where a pattern may ask for them
        if (hasLength || all.Count == 0) all.Add(any);
        return _form.String(all, withControls);
    }

    /// <summary>Whole numbers; without bounds those of 64 bits, and on the open side of a larger bound those of its digits.</summary>
    private static Language Integer(JsonObject schema, string path)
    {
        ((decimal? least, bool leastExcluded), (decimal? most, bool mostExcluded)) = (Least(schema, path), Most(schema, path));
        BigInteger from = least is null ? long.MinValue : new BigInteger(Math.Ceiling(least.Value)), to = most is null ? long.MaxValue
            : new BigInteger(Math.Floor(most.Value));
        if (leastExcluded && least == Math.Ceiling(least!.Value)) from++;
        if (mostExcluded && most == Math.Floor(most!.Value)) to--;
        if (most is null && from > to) to = LargestOfSameLength(from);
        if (least is null && from > to) from = -LargestOfSameLength(to);
        if (from > to) throw Fault(path, "has bounds between which there is no whole number");
        Language range = DecimalLanguages.Integers(from, to);
        if (Decimal(schema, "multipleOf", path) is not { } divisor || divisor == 1) return range;
        if (divisor <= 0 || divisor != Math.Floor(divisor) || divisor > LargestDivisor)
            throw Fault(path + "/multipleOf", $"is {divisor}: of integers, whole numbers from 1 to {LargestDivisor} are read");
        return new Language.Both(range, DecimalLanguages.Multiples((int)divisor));
    }

    private static BigInteger LargestOfSameLength(BigInteger value) =>
        BigInteger.Pow(10, BigInteger.Abs(value).ToString(CultureInfo.InvariantCulture).Length) - 1;

    private static Language Number(JsonObject schema, string path)
    {
        ((decimal? least, bool leastExcluded), (decimal? most, bool mostExcluded)) = (Least(schema, path), Most(schema, path));
        if (least > most || least == most && (leastExcluded || mostExcluded))
            throw Fault(path, "has bounds between which there is no number");
        int decimals = DecimalLanguages.MostDigits;
        if (Decimal(schema, "multipleOf", path) is { } step)
        {
            decimals = Enumerable.Range(0, DecimalLanguages.MostDigits + 1).Where(n => step == (decimal)Math.Pow(10, -n)).DefaultIfEmpty(
                -1).First();
            if (decimals < 0) throw Fault(path + "/multipleOf", $"is {step}: of numbers, 1, 0.1, 0.01 and so on are read");
        }
        return DecimalLanguages.Numbers(least, leastExcluded, most, mostExcluded, decimals);
    }

    private static (decimal? Bound, bool IsExcluded) Least(JsonObject schema, string path)
    {
        (decimal? closed, decimal? open) = (Decimal(schema, "minimum", path), Decimal(schema, "exclusiveMinimum", path));
        return closed is null || open >= closed ? (open, open is not null) : (closed, false);
    }

    private static (decimal? Bound, bool IsExcluded) Most(JsonObject schema, string path)
    {
        (decimal? closed, decimal? open) = (Decimal(schema, "maximum", path), Decimal(schema, "exclusiveMaximum", path));
        return closed is null || open <= closed ? (open, open is not null) : (closed, false);
    }

    private static decimal? Decimal(JsonObject schema, string keyword, string path)
    {
        if (schema[keyword] is not { } node) return null;
        if (node.GetValueKind() == JsonValueKind.Number && JsonDecimal.TryRead(node.ToJsonString(), out decimal value)) return value;
        throw Fault($"{path}/{keyword}", $"must be a number of at most 28 digits, and is {node.ToJsonString()}");
    }

    private static int? Count(JsonObject schema, string keyword, string path)
    {
        decimal? value = Decimal(schema, keyword, path);
        if (value is null) return null;
        if (value < 0 || value != Math.Floor(value.Value) || value > 1_000_000)
            throw Fault($"{path}/{keyword}", $"must be a count up to 1,000,000, and is {value}");
        return (int)value;
    }

    /// <summary>Values as they are written; those that a type beside them excludes are left out.</summary>
    private Language Literals(IEnumerable<JsonNode?> values, JsonObject schema, string path)
    {
        var texts = new HashSet<string>();
        var languages = new List<Language>();
        string[]? types = schema.ContainsKey("type") ? Types(schema, path) : null;
        foreach (JsonNode? value in values)
        {
            if (types is not null && !types.Any(type => Is(value, type))) continue;
            JsonNode? literal = Canonical(value, path);
            string text = JsonForm.Write(literal);
            if (!texts.Add(text)) throw Fault(path, $"holds {text} twice");
            languages.Add(_form.Literal(literal));
        }
        if (languages.Count == 0) throw Fault(path, $"has no value of the type beside it ({string.Join(", ", types!)})");
        return new Language.Choice(languages);
    }

    /// <summary>The same value with its numbers in their one form: 1 for 1.0, 100 for 1e2, 0 for -0.</summary>
    private static JsonNode? Canonical(JsonNode? value, string path) => value switch
    {
        JsonObject item => new JsonObject(item.Select(entry => KeyValuePair.Create(entry.Key, Canonical(entry.Value, path)))),
        JsonArray list => new JsonArray([.. list.Select(entry => Canonical(entry, path))]),
        JsonValue number when number.GetValueKind() == JsonValueKind.Number => JsonDecimal.Write(number.ToJsonString()) is { } text
            ? JsonNode.Parse(text)
            : throw Fault(path, $"holds the number {number.ToJsonString()}: numbers of at most {JsonDecimal.MostDigits} digits are read"),
        _ => value?.DeepClone(),
    };

    private static bool Is(JsonNode? value, string type) => (value?.GetValueKind() ?? JsonValueKind.Null) switch
    {
        JsonValueKind.Object => type == "object",
        JsonValueKind.Array => type == "array",
        JsonValueKind.String => type == "string",
        JsonValueKind.Number => type == "number" || type == "integer" && decimal.TryParse(
            value!.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out decimal number) && number == Math.Floor(number),
        JsonValueKind.True or JsonValueKind.False => type == "boolean",
        _ => type == "null",
    };

    private Language Reference(string reference, string path)
    {
        JsonNode target = Resolve(reference, path);
        int depth = _open.GetValueOrDefault(reference);
        // Two references that lead to each other count together, or their depths would multiply.
        int returns = _open.Values.Sum(open => Math.Max(open - 1, 0)) + (depth > 0 ? 1 : 0);
        if (returns > _options.RecursionDepth) return new Language.Part(path, Language.Nothing, IsCut: true);
        IEnumerable<string> around = _open.Where(open => open.Value > 0).Select(open => $"{open.Value} {open.Key}");
        string key = string.Join('\n', [reference, .. around.Order(StringComparer.Ordinal)]);
        if (_read.TryGetValue(key, out Language? known)) return known;
        _open[reference] = depth + 1;
        try
        {
            return _read[key] = Schema(target, reference);
        }
        finally
        {
            _open[reference] = depth;
        }
    }

    private JsonNode Resolve(string reference, string path)
    {
        if (reference != "#" && !reference.StartsWith("#/", StringComparison.Ordinal))
            throw Fault(path + "/$ref", $"is {reference}: references within the schema are read, such as #/$defs/name");
        JsonNode? node = _root;
        foreach (string part in reference.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal).Replace(
                "~0", "~", StringComparison.Ordinal);
            node = node switch
            {
                JsonObject @object => @object[name],
                JsonArray array when int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index)
                    && index < array.Count => array[index],
                _ => null,
            };
            if (node is null) throw Fault(path + "/$ref", $"is {reference}, which the schema does not have");
        }
        return node;
    }

    private void RequireDisjoint(Language[] options, string path)
    {
        for (int i = 0; i < options.Length; i++)
            for (int j = 0; j < i; j++)
                if (LanguageCompiler.Compile(new Language.Both(options[j], options[i]), _options.MostStates).Shortest() is { } shared)
                    throw Fault(path, $"has alternatives {j} and {i} that both allow {shared}: "
                        + "oneOf wants exactly one to (anyOf does not mind)");
    }

    private static void Require(JsonObject schema, string path, string[] supported, string? names = null)
    {
        foreach ((string keyword, JsonNode? _) in schema)
        {
            if (Annotations.Contains(keyword) || supported.Contains(keyword)) continue;
            throw Fault($"{path}/{Pointer(keyword)}", supported is [var single]
                ? $"stands beside {single}, where it is not supported"
                : $"is not supported here ({names ?? string.Join(", ", supported)} are)");
        }
    }

    private static string Text(JsonNode? node, string path) =>
        node is JsonValue value && value.TryGetValue(out string? text) ? text : throw Fault(path, "must be a text");

    private static string Pointer(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace(
        "/", "~1", StringComparison.Ordinal);

    private static GrammarException Fault(string path, string fault) => new($"The schema's {path} {fault}.", path);
}
