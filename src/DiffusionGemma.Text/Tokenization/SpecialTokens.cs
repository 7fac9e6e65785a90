using System.Text.Json;

namespace DiffusionGemma;

/// <summary>Named tokens of tokenizer_config.json: bos_token, eos_token and the like.</summary>
internal sealed class SpecialTokens
{
    public const string FileName = "tokenizer_config.json";

    private const string Suffix = "_token";

    private SpecialTokens(IReadOnlyDictionary<string, string> tokens) => Tokens = tokens;

    public static SpecialTokens None { get; } = new(new Dictionary<string, string>());

    /// <summary>Name (such as eos_token) to the token's text.</summary>
    public IReadOnlyDictionary<string, string> Tokens { get; }

    /// <summary>Reads the folder's tokenizer_config.json; without such a file there are no named tokens.</summary>
    /// <exception cref="InvalidDataException">The file is no JSON object, or a token is neither text nor an object with its
    /// content.</exception>
    public static SpecialTokens Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return None;
        using JsonDocument document = JsonFile.ReadObject(path);
        Dictionary<string, string> tokens = new(StringComparer.Ordinal);
        // A model's own (boi_token, image_token and so on) stand there or beside the others.
        if (document.RootElement.TryGetProperty("extra_special_tokens", out JsonElement own) && own.ValueKind == JsonValueKind.Object)
            Add(own);
        Add(document.RootElement);
        return new SpecialTokens(tokens);

        void Add(JsonElement properties)
        {
            // As in Python, the last of equal keys counts.
            foreach (JsonProperty property in properties.EnumerateObject().GroupBy(property => property.Name).Select(same => same.Last()))
            {
                // add_bos_token and the like are flags of the same spelling.
                if (property.Name.EndsWith(Suffix, StringComparison.Ordinal)
                    && property.Value.ValueKind is not (JsonValueKind.Null or JsonValueKind.True or JsonValueKind.False))
                    tokens[property.Name] = TextOf(property.Value) ?? throw new InvalidDataException(
                        $"{path}: '{property.Name}' is {property.Value.ValueKind}, where a text or an object with 'content' is expected.");
            }
        }
    }

    private static string? TextOf(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token.GetString(),
        JsonValueKind.Object when token.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.String =>
            content.GetString(),
        _ => null,
    };
}
