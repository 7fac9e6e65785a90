using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Ways to break a text.</summary>
internal static class Mutations
{
    private static readonly string?[] Values =
    [
        "null", "true", "0", "-1", "1.5", "1e400", "99999999999999999999", "\"\"", "\"<eos>\"", "\"▁\"", "\"\\u0000\"", "[]", "{}",
        "[null]", "[[\"a\",\"b\"]]", "{\"type\":\"text\"}",
        "{\"type\":\"image\"}", "\"\uD83D\uDE42\"", "[\"a\",1,{\"b\":[]}]",
    ];

    /// <summary>A few places overwritten, cut, doubled or moved; pieces are what the text's language is made of.</summary>
    public static string OfText(string text, Random random, IReadOnlyList<string> pieces)
    {
        for (int change = random.Next(1, 5); change > 0 && text.Length > 0; change--)
        {
            int at = random.Next(text.Length), end = Math.Min(text.Length, at + random.Next(random.Next(10) == 0 ? 400 : 12));
            text = random.Next(8) switch
            {
                0 => text[..at] + text[end..],
                1 => text[..end] + text[at..],
                2 => text[..at],
                3 => text[..at] + text[random.Next(text.Length)..],
                _ => text[..at] + pieces[random.Next(pieces.Count)] + text[end..],
            };
        }
        return text.Length < 1 << 18 ? text : text[..(1 << 18)];
    }

    /// <summary>A value somewhere in the JSON replaced by another, or taken away.</summary>
    public static string OfJson(JsonNode json, Random random)
    {
        JsonNode root = json.DeepClone();
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            JsonNode at = root;
            for (int depth = random.Next(1, 8); depth > 0 && Children(at) is { Count: > 0 } children; depth--)
                at = children[random.Next(children.Count)];
            Replace(at, random);
        }
        return root.ToJsonString();
    }

    private static List<JsonNode> Children(JsonNode node) => node switch
    {
        JsonObject dict => [.. dict.Select(item => item.Value).OfType<JsonNode>()],
        JsonArray list => [.. list.OfType<JsonNode>()],
        _ => [],
    };

    private static void Replace(JsonNode at, Random random)
    {
        JsonNode? value = JsonNode.Parse(Values[random.Next(Values.Length)]!);
        switch (at.Parent)
        {
            case JsonObject dict when random.Next(4) == 0:
                dict.Remove(at.GetPropertyName());
                break;
            case JsonArray list when random.Next(4) == 0:
                list.Remove(at);
                break;
            case not null:
                at.ReplaceWith(value);
                break;
        }
    }
}
