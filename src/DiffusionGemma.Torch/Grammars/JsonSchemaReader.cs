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
            root = JsonNode.Parse(schema, documentOptions: new JsonDocumentOptions
            {
                MaxDepth = MostNested, AllowDuplicateProperties =
                false
            });
        }
        catch (JsonException e)
        {
            throw new GrammarException($"The schema is no JSON: {e.Message}");
        }
        if (root is not JsonObject)
            throw new GrammarException("A schema is a JSON object, such as {\"type\":\"object\",\"properties\":{...}}.", "#");
        return new JsonSchemaReader(root, options, form).Schema(root, "#");
    }

    private Language Schema(JsonNode? node, string path)
    {
        if (++_nested > MostNested) throw Fault(path, $"is nested more than {MostNested} deep");
        try
        {
            if (node is JsonValue value && value.TryGetValue(out bool allowed))
            {
                if (!allowed) return Language.Nothing;
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
        if (type is null) throw Fault(path, "allows any value: give it a type, an enum, a const, anyOf, oneOf or $ref");
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

        Language first = Language.Empty, following = Language.Empty;
        foreach ((string name, JsonNode? property) in _form.Order(properties).Reverse())
        {
            Language value = Schema(property, $"{path}/properties/{Pointer(name)}");
            Language pair = new Language.Sequence([_form.Key(name, path), value]);
            bool isRequired = required.Contains(name);
            first = isRequired ? new Language.Sequence([pair, following]) : new Language.Choice(
                [new Language.Sequence([pair, following]), first]);
            Language next = new Language.Sequence([Language.Text(","), pair]);
            following = new Language.Sequence([isRequired ? next : Language.Optional(next), following]);
        }
        return new Language.Sequence([Language.Text("{"), first, Language.Text("}")]);
    }

    private Language Array(JsonObject schema, string path)
    {
        if (schema["items"] is not { } items) throw Fault(path, "is an array of any values: give it items");
        int least = Count(schema, "minItems", path) ?? 0;
        int? most = Count(schema, "maxItems", path);
        if (most < least) throw Fault(path, $"has minItems {least} above maxItems {most}");
        if (most == 0) return Language.Text("[]");
        Language item = Schema(items, path + "/items"), next = new Language.Sequence([Language.Text(","), item]);
        Language some = new Language.Sequence(
            [Language.Text("["), item, new Language.Repeat(next, Math.Max(least, 1) - 1, most - 1), Language.Text("]")]);
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

    /// <summary>Whole numbers; without bounds those of 64 bits.</summary>
    private static Language Integer(JsonObject schema, string path)
    {
        ((decimal? least, bool leastExcluded), (decimal? most, bool mostExcluded)) = (Least(schema, path), Most(schema, path));
        BigInteger from = least is null ? long.MinValue : new BigInteger(Math.Ceiling(least.Value)), to = most is null ? long.MaxValue
            : new BigInteger(Math.Floor(most.Value));
        if (leastExcluded && least == Math.Ceiling(least!.Value)) from++;
        if (mostExcluded && most == Math.Floor(most!.Value)) to--;
        Language range = DecimalLanguages.Integers(from, to);
        if (Decimal(schema, "multipleOf", path) is not { } divisor || divisor == 1) return range;
        if (divisor <= 0 || divisor != Math.Floor(divisor) || divisor > LargestDivisor)
            throw Fault(path + "/multipleOf", $"is {divisor}: of integers, whole numbers from 1 to {LargestDivisor} are read");
        return new Language.Both(range, DecimalLanguages.Multiples((int)divisor));
    }

    private static Language Number(JsonObject schema, string path)
    {
        ((decimal? least, bool leastExcluded), (decimal? most, bool mostExcluded)) = (Least(schema, path), Most(schema, path));
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
        if (node.GetValueKind() == JsonValueKind.Number
            && decimal.TryParse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out decimal value))
            return value;
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
        var texts = new List<string>();
        var languages = new List<Language>();
        string[]? types = schema.ContainsKey("type") ? Types(schema, path) : null;
        foreach (JsonNode? value in values)
        {
            if (types is not null && !types.Any(type => Is(value, type))) continue;
            string text = JsonForm.Write(value);
            if (texts.Contains(text)) throw Fault(path, $"holds {text} twice");
            texts.Add(text);
            languages.Add(_form.Literal(value));
        }
        return new Language.Choice(languages);
    }

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
        if (depth > _options.RecursionDepth) return Language.Nothing;
        _open[reference] = depth + 1;
        try
        {
            return Schema(target, reference);
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

    private static void Require(JsonObject schema, string path, string[] supported)
    {
        foreach ((string keyword, JsonNode? _) in schema)
        {
            if (Annotations.Contains(keyword) || supported.Contains(keyword)) continue;
            throw Fault($"{path}/{Pointer(keyword)}", supported is [var single]
                ? $"stands beside {single}, where it is not supported" : $"is not supported here ({string.Join(", ", supported)} are)");
        }
    }

    private static string Text(JsonNode? node, string path) =>
        node is JsonValue value && value.TryGetValue(out string? text) ? text : throw Fault(path, "must be a text");

    private static string Pointer(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace(
        "/", "~1", StringComparison.Ordinal);

    private static GrammarException Fault(string path, string fault) => new($"The schema's {path} {fault}.", path);
}
