using System.Text.Json;

namespace DiffusionGemma;

/// <summary>tests/fixtures/text/packed_tiny_chat.json.gz: conversations as the reference tokenizes, masks and packs them.</summary>
internal static class PackedFixture
{
    private static readonly JsonElement Root =
        JsonDocument.Parse(Fixtures.Text("text", "packed_tiny_chat.json")).RootElement;

    public static int CanvasLength => Root.GetProperty("canvas_length").GetInt32();

    public static int MaxLength => Root.GetProperty("max_length").GetInt32();

    public static int PadMultiple => Root.GetProperty("pad_multiple").GetInt32();

    public static JsonElement[] Rows { get; } = [.. Root.GetProperty("rows").EnumerateArray()];

    public static int[] Ints(this JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(value => value.GetInt32())];

    public static bool[] Bools(this JsonElement item, string name) => [.. item.Ints(name).Select(value => value != 0)];
}
