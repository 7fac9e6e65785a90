using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace DiffusionGemma;

public sealed class ToolSchemaTests
{
    /// <summary>One property's schema, and what the template sees of it.</summary>
    [Theory]
    [InlineData("""{"type": "integer"}""", """{"type": "integer"}""")]
    [InlineData("""{"type": ["string", "null"]}""", """{"type": "string", "nullable": true}""")]
    [InlineData("""{"type": ["integer", "string", "null"], "description": "An id."}""",
        """{"type": "integer", "nullable": true, "description": "An id. One of the types integer, string."}""")]
    [InlineData("{}", """{"type": "string", "description": "Any JSON value."}""")]
    [InlineData("true", """{"type": "string", "description": "Any JSON value."}""")]
    [InlineData("""{"type": ""}""", """{"type": "string", "description": "Any JSON value."}""")]
    [InlineData("""{"description": "x"}""", """{"type": "string", "description": "x Any JSON value."}""")]
    [InlineData("""{"properties": {"a": {"type": "number"}}}""", """{"type": "object", "properties": {"a": {"type": "number"}}}""")]
    [InlineData("""{"items": {}}""", """{"type": "array", "items": {"type": "string", "description": "Any JSON value."}}""")]
    [InlineData("""{"type": "array", "items": true}""",
        """{"type": "array", "items": {"type": "string", "description": "Any JSON value."}}""")]
    [InlineData("""{"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}""",
        """{"type": "array", "items": {"type": "integer", "description": "One of the types integer, string."}}""")]
    [InlineData("""{"enum": ["a", "b", null]}""", """{"type": "string", "enum": ["a", "b"], "nullable": true}""")]
    [InlineData("""{"enum": [1, 2]}""", """{"type": "integer", "enum": [1, 2]}""")]
    [InlineData("""{"const": "x"}""", """{"type": "string", "enum": ["x"]}""")]
    [InlineData("""{"anyOf": [{"type": "integer"}, {"type": "null"}]}""", """{"type": "integer", "nullable": true}""")]
    [InlineData("""{"oneOf": [{"const": "a"}, {"const": "b"}]}""", """{"type": "string", "enum": ["a", "b"]}""")]
    [InlineData("""{"anyOf": [{"type": "string", "format": "date"}, {"type": "integer", "description": "Days."}],"""
        + """ "description": "When."}""",
        """{"type": "string", "format": "date", "description": "When. Days. One of the types string, integer."}""")]
    [InlineData("""{"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "k"]},"""
        + """{"type": "object", "properties": {"b": {"type": "string"}}, "required": ["k"]}]}""",
        """{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["k"]}""")]
    [InlineData("""{"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}""",
        """{"type": "object", "properties": {"a": {"type": "string"}}}""")]
    [InlineData("""{"allOf": [{"$ref": "#/$defs/city"}, {"properties": {"zip": {"type": "string"}}, "required": ["zip"]}]}""",
        """{"type": "object", "properties": {"name": {"type": "string"}, "zip": {"type": "string"}}, "required": ["name", "zip"]}""")]
    [InlineData("""{"$ref": "#/$defs/city", "description": "Where."}""",
        """{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "description": "Where."}""")]
    [InlineData("""{"$ref": "#/$defs/node"}""",
        """{"type": "object", "properties": {"next": {"type": "object", "properties": {}},"""
        + """ "all": {"type": "array", "items": {"type": "object", "properties": {}}}}}""")]
    [InlineData("""{"type": "object"}""", """{"type": "object", "properties": {}}""")]
    [InlineData("""{"type": "object", "properties": [], "required": null, "title": null}""", """{"type": "object", "properties": {}}""")]
    [InlineData("""{"type": "object", "properties": null, "required": "a"}""", """{"type": "object", "properties": {}}""")]
    [InlineData("""{"type": "object", "additionalProperties": {"type": "integer"}}""",
        """{"type": "object", "properties": {}, "additionalProperties": {"type": "integer"},"""
        + """ "description": "Any names, with values of the type integer."}""")]
    [InlineData("""{"type": "string", "description": null, "default": null, "enum": null}""", """{"type": "string"}""")]
    [InlineData("""{"type": "string", "enum": []}""", """{"type": "string"}""")]
    [InlineData("""{"type": "string", "enum": [null]}""", """{"type": "string", "nullable": true}""")]
    [InlineData("""{"oneOf": [{"const": 1}, {"const": 2}, {"const": null}]}""",
        """{"type": "integer", "enum": [1, 2], "nullable": true}""")]
    [InlineData("""{"const": null}""", """{"type": "string", "nullable": true, "description": "Any JSON value."}""")]
    [InlineData("""{"type": "array", "prefixItems": [{"$ref": "#/$defs/a~1b%20c"}], "contains": {"$ref": "#/$defs/a~1b%20c"}}""",
        """{"type": "array", "prefixItems": [{"type": "boolean"}], "contains": {"type": "boolean"}}""")]
    [InlineData("""{"type": "object", "patternProperties": {"^x": {"$ref": "#/$defs/a~1b%20c"}}}""",
        """{"type": "object", "properties": {}, "patternProperties": {"^x": {"type": "boolean"}}}""")]
    [InlineData("""{"$ref": "#/$defs/a~1b%20c"}""", """{"type": "boolean"}""")]
    [InlineData("""{"type": "integer", "type": "string"}""", """{"type": "string"}""")]
    public void EverySchemaHasOneType(string schema, string expected)
    {
        const string Defs = """
            {"city": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
             "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "all": {"items": {"$ref": "#/$defs/node"}}}},
             "a/b c": {"type": "boolean"}}
            """;
        JsonObject result = Normalize($$"""{"type": "object", "properties": {"x": {{schema}}}, "$defs": {{Defs}}}""");
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), result["properties"]!["x"]), result["properties"]!["x"]!.ToJsonString());
        Assert.False(result.ContainsKey("$defs"));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("true")]
    [InlineData("""{"type": "object"}""")]
    [InlineData("""{"$schema": "https://json-schema.org/draft/2020-12/schema"}""")]
    public void AFunctionWithoutParametersHasAnObjectWithNone(string schema) =>
        Assert.Equal("""{"type":"object","properties":{}}""", Normalize(schema).ToJsonString());

    [Fact]
    public void AReferenceToNowhereIsRefusedByName()
    {
        NotSupportedException error =
            Assert.Throws<NotSupportedException>(() => Normalize("""{"properties": {"x": {"$ref": "https://x/y"}}}"""));
        Assert.Contains("'https://x/y'", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Schemas of any nesting come to a single type everywhere, and end.</summary>
    [Fact]
    public void RandomSchemasHaveOneTypeEverywhere()
    {
        Random random = new(11);
        for (int n = 0; n < 2000; n++)
        {
            JsonObject schema = new() { ["type"] = "object", ["properties"] = new JsonObject { ["x"] = Random(random, 4) } };
            schema["$defs"] = new JsonObject { ["a"] = Random(random, 3), ["b"] = Random(random, 3) };
            JsonObject result = Normalize(schema.ToJsonString());
            RequireTypes(result, schema);
            string prompt = TestChat.Prompt([new(ChatRole.User, "q")], new ChatOptions { Tools = [new Declared(schema)] });
            Assert.DoesNotContain("type:<|\"|><|\"|>", prompt, StringComparison.Ordinal);
            Assert.DoesNotContain("['", prompt, StringComparison.Ordinal);
        }
    }

    private static void RequireTypes(JsonObject schema, JsonObject whole)
    {
        Assert.True(schema["type"]?.GetValueKind() == JsonValueKind.String && schema["type"]!.GetValue<string>().Length > 0,
            whole.ToJsonString());
        foreach (string key in (string[])["anyOf", "oneOf", "allOf", "$ref", "const"]) Assert.False(
            schema.ContainsKey(key), whole.ToJsonString());
        if (schema["items"] is { } items) RequireTypes(Assert.IsType<JsonObject>(items), whole);
        if (schema["properties"] is JsonObject properties)
            foreach ((_, JsonNode? value) in properties) RequireTypes(Assert.IsType<JsonObject>(value), whole);
    }

    private static JsonNode? Random(Random random, int depth) => random.Next(depth > 0 ? 12 : 6) switch
    {
        0 => new JsonObject { ["type"] = "string" },
        1 => new JsonObject { ["type"] = new JsonArray("integer", "null", "string") },
        2 => new JsonObject { ["enum"] = new JsonArray("a", 1, null) },
        3 => new JsonObject(),
        4 => JsonValue.Create(true),
        5 => new JsonObject { ["$ref"] = random.Next(3) switch { 0 => "#", 1 => "#/$defs/a", _ => "#/$defs/b" } },
        6 => new JsonObject { ["properties"] = new JsonObject { ["p"] = Random(random, depth - 1), ["q"] = Random(random, depth - 1) } },
        7 => new JsonObject { ["items"] = Random(random, depth - 1), ["description"] = "d" },
        8 => new JsonObject
        {
            ["type"] = "object", ["required"] = new JsonArray("p"),
            ["anyOf"] = new JsonArray(Random(random, depth - 1))
        },
        9 => new JsonObject { ["allOf"] = new JsonArray(Random(random, depth - 1), Random(random, depth - 1)) },
        _ => new JsonObject
        {
            ["anyOf"] =
            new JsonArray(Random(random, depth - 1), new JsonObject { ["type"] = "null" }, Random(random, depth - 1))
        },
    };

    private static JsonObject Normalize(string schema) => ToolSchema.Normalize(JsonElement.Parse(schema));

    private sealed class Declared(JsonObject schema) : AIFunctionDeclaration
    {
        public override string Name => "f";

        public override JsonElement JsonSchema { get; } = JsonSerializer.SerializeToElement(schema);
    }
}
