using System.Text;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Changes that break bytes, text and JSON.</summary>
internal static class Mutations
{
    private const int LongestText = 1 << 18;

    private static readonly byte[] Telling = [0, 1, 0x7F, 0x80, 0xFF, (byte)'"', (byte)'\\', (byte)'{', (byte)'[', (byte)'\n'];

    private static readonly string[] JsonPieces =
    [
        "{", "}", "[", "]", "\"", ",", ":", "\\", "null", "true", "1e400", "-1", "0", "9223372036854775807", "99999999999999999999",
        "\\ud800", "\\u0000", "\uFEFF", "\"..\"", "\"/etc/passwd\"", "1.5", "[[[[[[[[", "{\"a\":{\"a\":{\"a\":",
    ];

    private static readonly string[] JsonValues =
    [
        "null", "true", "false", "0", "1", "-1", "1.5", "1e400", "2147483647", "9223372036854775807", "99999999999999999999", "\"\"",
        "\"<eos>\"", "\"▁\"", "\"\\u0000\"", "\"../../etc/passwd\"", "\"(a+)+$\"", "[]", "{}", "[null]", "[[\"a\",\"b\"]]",
        "{\"type\":\"text\"}", "{\"type\":\"image\"}", "\"\uD83D\uDE42\"", "[\"a\",1,{\"b\":[]}]",
    ];

    /// <summary>One to eight changes: bytes set, bits flipped, ranges repeated, moved, filled or taken out.</summary>
    public static byte[] OfBytes(Random random, byte[] original, int from = 0)
    {
        List<byte> bytes = [.. original];
        for (int changes = random.Next(1, 9); changes > 0 && bytes.Count > from + 1; changes--)
        {
            int at = random.Next(from, bytes.Count), length = Math.Min(bytes.Count - at, 1 << random.Next(0, 8));
            switch (random.Next(8))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes[at] = Telling[random.Next(Telling.Length)];
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 4:
                    bytes.InsertRange(random.Next(from, bytes.Count), bytes.GetRange(at, length));
                    break;
                case 5:
                    bytes.RemoveRange(at, length);
                    break;
                case 6:
                    bytes.RemoveRange(at, random.Next(4) == 0 ? bytes.Count - at : 1);
                    break;
                default:
                    for (int i = at; i < at + length; i++)
                        bytes[i] = 0xFF;
                    break;
            }
        }
        return [.. bytes];
    }

    /// <summary>A few places overwritten, cut, doubled or moved; pieces are what the text's language is made of.</summary>
    public static string OfText(Random random, string text, IReadOnlyList<string> pieces)
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
        return text.Length < LongestText ? text : text[..LongestText];
    }

    /// <summary>A text of JSON, broken as text one time in three, and else with other values.</summary>
    public static byte[] OfJsonText(Random random, string json) => Encoding.UTF8.GetBytes(
        random.Next(3) == 0 ? OfText(random, json, JsonPieces) : OfJson(random, JsonNode.Parse(json)!));

    /// <summary>Values somewhere in the JSON replaced by others, or taken away.</summary>
    public static string OfJson(Random random, JsonNode json)
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
        JsonNode? value = JsonNode.Parse(JsonValues[random.Next(JsonValues.Length)]);
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
