using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Draws JSON schemas of everything that grammars read.</summary>
internal sealed class RandomSchemas(int seed)
{
    private static readonly string[] Patterns = ["^[a-z]{1,4}$", "^\\d+-\\d$", "^(a|bc)*\"?$"];
    private static readonly string[] Formats = ["date", "time", "ipv4", "uuid"];

    private readonly Random _random = new(seed);

    public string Draw() => Schema(3).ToJsonString();

    private JsonObject Schema(int depth)
    {
        switch (_random.Next(depth > 0 ? 10 : 6))
        {
            case 0:
                int least = _random.Next(-50, 50);
                return new JsonObject { ["type"] = "integer", ["minimum"] = least, ["maximum"] = least + _random.Next(500) };
            case 1:
                return new JsonObject
                {
                    ["type"] = "number", ["minimum"] = _random.Next(-9, 0), ["exclusiveMaximum"] = _random.Next(1, 90),
                    ["multipleOf"] = _random.Next(2) == 0 ? 0.1 : 0.01,
                };
            case 2:
                int shortest = _random.Next(3);
                return new JsonObject { ["type"] = "string", ["minLength"] = shortest, ["maxLength"] = shortest + _random.Next(8) };
            case 3:
                return _random.Next(2) == 0
                    ? new JsonObject { ["type"] = "string", ["pattern"] = Patterns[_random.Next(Patterns.Length)] }
                    : new JsonObject { ["type"] = "string", ["format"] = Formats[_random.Next(Formats.Length)] };
            case 4:
                return new JsonObject { ["enum"] = new JsonArray("red", "ü", 3, null, true, "re") };
            case 5:
                return new JsonObject { ["type"] = _random.Next(2) == 0 ? "boolean" : "null" };
            case 6:
                int few = _random.Next(3);
                return new JsonObject
                {
                    ["type"] = "array", ["items"] = Schema(depth - 1), ["minItems"] = few, ["maxItems"] = few + _random.Next(3),
                };
            case 7:
                return new JsonObject { ["anyOf"] = new JsonArray(Schema(depth - 1), Schema(depth - 1)) };
            default:
                var properties = new JsonObject();
                var required = new JsonArray();
                for (int i = _random.Next(1, 4); i > 0; i--)
                {
                    string name = $"{(char)('a' + i)}{_random.Next(9)}";
                    properties[name] = Schema(depth - 1);
                    if (_random.Next(2) == 0) required.Add(name);
                }
                return new JsonObject { ["type"] = "object", ["properties"] = properties, ["required"] = required };
        }
    }
}
