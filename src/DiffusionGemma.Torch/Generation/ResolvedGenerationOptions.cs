using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>Generation options with every value decided: the caller's, else generation_config.json's, else the default.</summary>
internal sealed record ResolvedGenerationOptions
{
    public required int MaxNewTokens { get; init; }

    public required int MaxDenoisingSteps { get; init; }

    public required double EntropyBound { get; init; }

    public required double TMin { get; init; }

    public required double TMax { get; init; }

    public required int StabilityThreshold { get; init; }

    public required double ConfidenceThreshold { get; init; }

    public required IReadOnlyList<int> EosTokenIds { get; init; }

    public required int PadTokenId { get; init; }

    public required long Seed { get; init; }

    /// <summary>The divisor of the logits with <paramref name="remaining"/> steps to go, this one included.</summary>
    public double Temperature(int remaining) => TMin + (TMax - TMin) * remaining / MaxDenoisingSteps;

    /// <exception cref="InvalidDataException">generation_config.json cannot be read, or asks for what is not supported.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public static ResolvedGenerationOptions Resolve(GenerationOptions? given, string folder, DiffusionGemmaConfig config)
    {
        given ??= new GenerationOptions();
        var file = new ConfigFile(Path.Combine(folder, "generation_config.json"));
        var resolved = new ResolvedGenerationOptions
        {
            MaxNewTokens = given.MaxNewTokens ?? file.Integer("max_new_tokens") ?? 256,
            MaxDenoisingSteps = given.MaxDenoisingSteps ?? file.Integer("max_denoising_steps") ?? 48,
            EntropyBound = given.EntropyBound ?? file.EntropyBound() ?? 0.1,
            TMin = given.TMin ?? file.Number("t_min") ?? 0.4,
            TMax = given.TMax ?? file.Number("t_max") ?? 0.8,
            StabilityThreshold = given.StabilityThreshold ?? file.Integer("stability_threshold") ?? 1,
            ConfidenceThreshold = given.ConfidenceThreshold ?? file.Number("confidence_threshold") ?? 0.005,
            EosTokenIds = given.EosTokenIds ?? file.Integers("eos_token_id") ?? config.EosTokenIds,
            PadTokenId = given.PadTokenId ?? file.Integer("pad_token_id") ?? config.PadTokenId,
            Seed = given.Seed ?? 0,
        };
        resolved.Validate(config);
        return resolved;
    }

    private void Validate(DiffusionGemmaConfig config)
    {
        static void Require(bool holds, string option, object value, string rule)
        {
            if (!holds) throw new ArgumentOutOfRangeException($"GenerationOptions.{option}", value, $"GenerationOptions.{option} {rule}.");
        }

        Require(MaxNewTokens >= 1, nameof(MaxNewTokens), MaxNewTokens, "must be at least 1");
        Require(MaxDenoisingSteps >= 1, nameof(MaxDenoisingSteps), MaxDenoisingSteps, "must be at least 1");
        Require(EntropyBound >= 0, nameof(EntropyBound), EntropyBound, "must not be negative");
        Require(double.IsFinite(TMin) && TMin >= 0, nameof(TMin), TMin, "must not be negative");
        Require(double.IsFinite(TMax) && TMax >= TMin && Temperature(1) > 0, nameof(TMax), TMax, "must not be less than TMin, and not zero");
        Require(StabilityThreshold >= 0, nameof(StabilityThreshold), StabilityThreshold, "must not be negative");
        Require(!double.IsNaN(ConfidenceThreshold), nameof(ConfidenceThreshold), ConfidenceThreshold, "must be a number");
        Require(EosTokenIds.All(id => id >= 0 && id < config.VocabularySize), nameof(EosTokenIds), string.Join(",", EosTokenIds), $"must lie within the vocabulary of {config.VocabularySize}");
        Require(PadTokenId >= 0 && PadTokenId < config.VocabularySize, nameof(PadTokenId), PadTokenId, $"must lie within the vocabulary of {config.VocabularySize}");
    }

    /// <summary>generation_config.json; an absent file or entry is null.</summary>
    private sealed class ConfigFile
    {
        private readonly string _path;
        private readonly JsonObject _root = [];

        public ConfigFile(string path)
        {
            _path = path;
            if (!File.Exists(path)) return;
            try
            {
                _root = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new JsonException("not an object");
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"{path} is not a JSON object ({e.Message}). Restore the file from the checkpoint.", e);
            }
        }

        public int? Integer(string key) => Value<int>(_root, key);

        public double? Number(string key) => Value<double>(_root, key);

        public IReadOnlyList<int>? Integers(string key) =>
            _root[key] switch
            {
                null => null,
                JsonArray list => [.. list.Select(item => item is JsonValue value && value.TryGetValue(out int id) ? id : throw Wrong(key, list))],
                _ => [Integer(key)!.Value],
            };

        public double? EntropyBound()
        {
            const string Key = "sampler_config", Sampler = "EntropyBoundSamplerConfig";
            if (_root[Key] is null) return null;
            if (_root[Key] is not JsonObject sampler) throw Wrong(Key, _root[Key]!);
            string? kind = (sampler["_cls_name"] as JsonValue)?.TryGetValue(out string? name) == true ? name : null;
            if (kind != Sampler) throw new InvalidDataException($"{_path}: the sampler '{kind}' is not supported; only {Sampler} is.");
            return Value<double>(sampler, "entropy_bound");
        }

        private T? Value<T>(JsonObject from, string key)
            where T : struct =>
            from[key] switch
            {
                null => null,
                JsonValue value when value.TryGetValue(out T number) => number,
                JsonNode other => throw Wrong(key, other),
            };

        private InvalidDataException Wrong(string key, JsonNode found) => new($"{_path}: '{key}' is {found.ToJsonString()}, expected a number.");
    }
}
