using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Brings a function's JSON schema into the form that chat templates write: every schema has one type, references are resolved, and
/// alternatives (<c>anyOf</c>, <c>oneOf</c>, <c>allOf</c>, several types) are merged. What one type cannot say goes into the description:
/// <code>
/// {"type": ["integer", "string", "null"]}   ->   {"type": "integer", "nullable": true, "description": "One of the types integer, string."}
/// {"$ref": "#/$defs/City"}                  ->   City's schema
/// {}                                        ->   {"type": "string", "description": "Any JSON value."}
/// </code>
/// A reference inside its own definition becomes a plain object. Objects have properties, if none, and nothing is null: templates differ in
/// what they make of those.
/// </summary>
internal sealed class ToolSchema
{
    private const int DeepestNesting = 32;
    private static readonly string[] Definitions = ["$defs", "definitions", "$schema", "$id", "$anchor", "$comment"];

    private readonly JsonNode? _root;

    private ToolSchema(JsonNode? root) => _root = root;

    /// <summary>The schema of a function's parameters: always an object with properties.</summary>
    public static JsonObject Normalize(JsonElement schema)
    {
        JsonNode? root = schema.ValueKind == JsonValueKind.Undefined ? null : PythonJson.Copy(schema);
        if (root is not JsonObject given || given.Count == 0) return new JsonObject
        {
            ["type"] = "object",
            ["properties"] = new JsonObject()
        };
        if (TypesOf(given).Count == 0) given["type"] = "object";
        JsonObject result = new ToolSchema(root).Normalize(given, [], 0);
        result["properties"] ??= new JsonObject();
        return result;
    }

    private JsonObject Normalize(JsonNode? node, string[] references, int depth)
    {
        if (depth > DeepestNesting) return AnyObject();
        JsonObject schema = Resolve(node as JsonObject ?? [], ref references, out bool isRecursive);
        if (isRecursive) return WithDescription(AnyObject(), schema);
        schema = Merge(schema, references, depth, out bool isNullable, out List<string> types);

        JsonObject result = [];
        foreach ((string key, JsonNode? value) in schema)
        {
            // No value is as if the key were not there, but for the one value that const allows.
            if (Definitions.Contains(key) || key == "type" || value is null && key != "const") continue;
            if (key is "properties" or "patternProperties" or "dependentSchemas" && value is not JsonObject) continue;
            if (key == "required" && value is not JsonArray) continue;
            result[key] = key switch
            {
                "properties" or "patternProperties" or "dependentSchemas" => Properties((JsonObject)value!, references, depth),
                "prefixItems" when value is JsonArray tuple =>
                    new JsonArray([.. tuple.Select(item => Normalize(item, references, depth + 1))]),
                "contains" or "not" or "if" or "then" or "else" or "propertyNames" when value is JsonObject =>
                    Normalize(value, references, depth + 1),
                "items" when value is JsonArray tuple =>
                    Normalize(new JsonObject { ["anyOf"] = tuple.DeepClone() }, references, depth + 1),
                "items" => Normalize(value, references, depth + 1),
                "additionalProperties" when value is JsonObject => Normalize(value, references, depth + 1),
                _ => value?.DeepClone(),
            };
        }
        if (result.TryGetPropertyValue("const", out JsonNode? only) && result.Remove("const"))
            result["enum"] = new JsonArray(only?.DeepClone());
        if (result["enum"] is JsonArray values)
        {
            JsonNode?[] kept = [.. values.Where(value => value is not null).Select(value => value!.DeepClone())];
            isNullable |= kept.Length < values.Count;
            result["enum"] = new JsonArray(kept);
            if (kept.Length == 0) result.Remove("enum");
            if (types.Count == 0) types = [.. kept.Select(value => TypeOf(value!)).Distinct()];
        }
        SetType(result, types);
        if (TextOf(result["type"]) == "object") CompleteObject(result);
        if (isNullable) result["nullable"] = true;
        return result;
    }

    private static JsonObject AnyObject() => new() { ["type"] = "object", ["properties"] = new JsonObject() };

    /// <summary>Gives an object properties; what values of any name must be is said in words.</summary>
    private static void CompleteObject(JsonObject schema)
    {
        if (schema["properties"] is null && schema["additionalProperties"] is JsonObject values)
            Describe(schema, $"Any names, with values of the type {TextOf(values["type"])}.");
        schema["properties"] ??= new JsonObject();
    }

    private JsonObject Properties(JsonObject properties, string[] references, int depth)
    {
        JsonObject result = [];
        foreach ((string name, JsonNode? value) in properties) result[name] = Normalize(value, references, depth + 1);
        return result;
    }

    private static void SetType(JsonObject schema, List<string> types)
    {
        if (types.Count == 0)
        {
            string? guess = schema.ContainsKey("properties") ? "object" : schema.ContainsKey("items") ? "array" : null;
            if (guess is null) Describe(schema, "Any JSON value.");
            types = [guess ?? "string"];
        }
        if (types.Count > 1) Describe(schema, $"One of the types {string.Join(", ", types)}.");
        schema["type"] = types[0];
    }

    private static void Describe(JsonObject schema, string words) =>
        schema["description"] = schema["description"] is JsonValue given && given.GetValueKind() == JsonValueKind.String
            && given.GetValue<string>() is { Length: > 0 } text ? $"{text} {words}" : words;

    private static JsonObject WithDescription(JsonObject schema, JsonObject from)
    {
        if (from["description"] is { } description) schema["description"] = description.DeepClone();
        return schema;
    }

    /// <summary>The schema that a reference names, with what is written beside the reference.</summary>
    private JsonObject Resolve(JsonObject schema, ref string[] references, out bool isRecursive)
    {
        isRecursive = false;
        while (schema["$ref"] is JsonValue value && value.GetValueKind() == JsonValueKind.String)
        {
            string reference = value.GetValue<string>();
            isRecursive = references.Contains(reference) || reference is "#";
            if (isRecursive) return schema;
            references = [.. references, reference];
            JsonNode found = Find(reference) ?? throw new NotSupportedException(
                $"The schema refers to '{reference}', which is not in it: write the definition into the function's schema.");
            JsonObject target = found.DeepClone() as JsonObject ?? [];
            foreach ((string key, JsonNode? beside) in schema)
                if (key != "$ref") target[key] = beside?.DeepClone();
            schema = target;
        }
        return schema;
    }

    private JsonNode? Find(string reference)
    {
        if (!reference.StartsWith("#/", StringComparison.Ordinal)) return null;
        JsonNode? at = _root;
        foreach (string step in reference[2..].Split('/'))
        {
            string key = Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            at = at switch
            {
                JsonObject dict => dict[key],
                JsonArray list when int.TryParse(key, CultureInfo.InvariantCulture, out int index) && index < list.Count => list[index],
                _ => null,
            };
        }
        return at;
    }

    /// <summary>Merges alternatives into the schema, and collects the types it may have, without null.</summary>
    private JsonObject Merge(JsonObject schema, string[] references, int depth, out bool isNullable, out List<string> types)
    {
        types = TypesOf(schema);
        isNullable = types.Remove("null") | IsTrue(schema["nullable"]);
        JsonObject result = (JsonObject)schema.DeepClone();
        foreach (string key in (string[])["allOf", "anyOf", "oneOf"])
        {
            if (result[key] is not JsonArray alternatives || !result.Remove(key)) continue;
            List<JsonObject> options = [];
            foreach (JsonNode? alternative in alternatives)
            {
                JsonObject option = alternative?.DeepClone() as JsonObject ?? [];
                if (TypesOf(option) is ["null"] || option.TryGetPropertyValue("const", out JsonNode? only) && only is null)
                {
                    isNullable = true;
                    continue;
                }
                // An alternative that only restricts, such as a list of required names, is of the schema's own type.
                if (types.Count > 0 && !option.ContainsKey("$ref")) option["type"] ??= types[0];
                options.Add(Normalize(option, references, depth + 1));
            }
            foreach (JsonObject option in options)
            {
                isNullable |= IsTrue(option["nullable"]) && key != "allOf";
                if (!types.Contains(TextOf(option["type"])!)) types.Add(TextOf(option["type"])!);
            }
            Absorb(result, options, isAll: key == "allOf");
        }
        return result;
    }

    private static void Absorb(JsonObject result, List<JsonObject> options, bool isAll)
    {
        // Required is what all of the alternatives require; of allOf, what any does.
        string[][] required = [.. options.Where(option => option["properties"] is not null).Select(NamesOf)];
        string[] common = required.Length == 0
            ? [] : required.Aggregate((left, right) => [.. isAll ? left.Union(right) : left.Intersect(right)]);
        List<JsonNode?> enums = [];
        foreach (JsonObject option in options)
        {
            foreach ((string key, JsonNode? value) in option)
            {
                if (key == "properties" && value is JsonObject properties)
                {
                    JsonObject into = result["properties"] as JsonObject ?? [];
                    result["properties"] ??= into;
                    foreach ((string name, JsonNode? property) in properties)
                        if (!into.ContainsKey(name)) into[name] = property?.DeepClone();
                }
                else if (key == "enum" && value is JsonArray values) enums.AddRange(values);
                else if (key == "description" && !isAll && options.Count > 1 && TextOf(value) is { } text) Describe(result, text);
                else if (key is not ("type" or "nullable" or "required") && !result.ContainsKey(key)) result[key] = value?.DeepClone();
            }
        }
        // A list of values restricts only where every alternative has one.
        if (enums.Count > 0 && (isAll || options.All(option => option.ContainsKey("enum"))))
            result["enum"] = new JsonArray([.. enums.Select(value => value?.DeepClone())]);
        string[] all = [.. NamesOf(result).Union(common)];
        if (all.Length > 0) result["required"] = new JsonArray([.. all.Select(name => JsonValue.Create(name))]);
    }

    private static string[] NamesOf(JsonObject schema) =>
        schema["required"] is JsonArray names ? [.. names.Select(TextOf).OfType<string>()] : [];

    private static List<string> TypesOf(JsonObject schema) => schema["type"] switch
    {
        JsonArray list => [.. list.Select(TextOf).OfType<string>().Distinct()],
        JsonValue value when TextOf(value) is { Length: > 0 } text => [text],
        _ => [],
    };

    private static string TypeOf(JsonNode value) => value.GetValueKind() switch
    {
        JsonValueKind.String => "string",
        JsonValueKind.Number => value.ToJsonString().AsSpan().ContainsAny('.', 'e', 'E') ? "number" : "integer",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Array => "array",
        _ => "object",
    };

    private static string? TextOf(JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    private static bool IsTrue(JsonNode? node) => node?.GetValueKind() == JsonValueKind.True;
}
