using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>
/// Reads generation_config.json; an absent file or entry is null. Entries that would change answers and are not supported are refused by
/// name.
/// </summary>
internal sealed class GenerationConfigFile
{
    private const string SamplerKey = "sampler_config", EntropyBoundKind = "EntropyBoundSamplerConfig";
    private const int LongestShown = 80;

    /// <summary>Entries of transformers' GenerationConfig that change answers, with the values that have no effect.</summary>
    private static readonly Dictionary<string, double[]> Neutral = new()
    {
        ["bad_words_ids"] = [], ["begin_suppress_tokens"] = [], ["constraints"] = [], ["diversity_penalty"] = [0],
        ["encoder_no_repeat_ngram_size"] = [0], ["encoder_repetition_penalty"] = [1], ["epsilon_cutoff"] = [0], ["eta_cutoff"] = [0],
        ["exponential_decay_length_penalty"] = [], ["force_words_ids"] = [], ["forced_bos_token_id"] = [], ["forced_eos_token_id"] = [],
        ["guidance_scale"] = [1], ["length_penalty"] = [1], ["max_time"] = [], ["min_length"] = [0], ["min_new_tokens"] = [0],
        ["min_p"] = [0], ["no_repeat_ngram_size"] = [0], ["num_beam_groups"] = [1], ["num_beams"] = [1], ["num_return_sequences"] = [1],
        ["penalty_alpha"] = [0], ["prompt_lookup_num_tokens"] = [], ["repetition_penalty"] = [1], ["sequence_bias"] = [],
        ["stop_strings"] = [], ["suppress_tokens"] = [], ["temperature"] = [1], ["typical_p"] = [1], ["watermarking_config"] = [],
    };

    private readonly string _path;
    private readonly JsonObject _root = [];
    private readonly JsonObject _sampler = [];

    /// <summary>Reads the file of a checkpoint folder.</summary>
    /// <exception cref="InvalidDataException">The file is not a JSON object, or has an entry that is not supported.</exception>
    public GenerationConfigFile(string folder)
    {
        _path = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(_path)) return;
        try
        {
            _root = PythonJson.ReadObject(SmallFile.ReadText(_path));
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{_path} is not a JSON object ({e.Message}). Restore the file from the checkpoint.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidDataException($"{_path} cannot be read ({e.Message}). Restore the file from the checkpoint.", e);
        }
        foreach ((string key, double[] nothing) in Neutral)
            if (_root[key] is { } value && !IsNeutral(value, nothing))
                throw new InvalidDataException(
                    $"{_path}: '{key}' is {Show(value)}, which is not supported. Remove the entry to go on without it.");
        if (_root["do_sample"] is JsonValue sample && sample.TryGetValue(out bool samples) && !samples)
            throw new InvalidDataException(
                $"{_path}: 'do_sample' is false: set t_min and t_max to 0 for the most likely tokens, or remove the entry.");
        if (_root[SamplerKey] is null) return;
        _sampler = _root[SamplerKey] as JsonObject ?? throw Wrong(SamplerKey, _root[SamplerKey]!);
        string? kind = (_sampler["_cls_name"] as JsonValue)?.TryGetValue(out string? name) == true ? name : null;
        if (kind != EntropyBoundKind)
            throw new InvalidDataException(
                $"{_path}: '{SamplerKey}' has the _cls_name '{kind}', which is not supported; only {EntropyBoundKind} is. Remove the entry "
                + "to go on without it.");
    }

    public int? Integer(string key) => Value<int>(_root, key);

    public double? Number(string key) => Value<double>(_root, key);

    public double? EntropyBound() => Value<double>(_sampler, "entropy_bound");

    public IReadOnlyList<int>? Integers(string key) =>
        _root[key] switch
        {
            null => null,
            JsonArray list =>
            [
                .. list.Select(item => item is JsonValue value && value.TryGetValue(out int id) ? id : throw Wrong(key, list)),
            ],
            _ => [Integer(key)!.Value],
        };

    /// <summary>Names the entries that an option out of range has its value from.</summary>
    /// <param name="option">The option's name.</param>
    /// <param name="rule">The condition in words: "must be at least 1".</param>
    /// <exception cref="InvalidDataException">The file has one of them.</exception>
    public void RequireAbsent(string option, string rule)
    {
        string inFile = rule.Replace(nameof(GenerationOptions.TMin), "'t_min'", StringComparison.Ordinal);
        foreach ((JsonObject owner, string key) in EntriesOf(option))
            if (owner[key] is { } value)
                throw new InvalidDataException($"{_path}: '{key}' is {Show(value)}; it {inFile}. Correct the entry, or remove it.");
    }

    private IEnumerable<(JsonObject Owner, string Key)> EntriesOf(string option) => option switch
    {
        nameof(GenerationOptions.MaxNewTokens) => [(_root, "max_new_tokens")],
        nameof(GenerationOptions.MaxDenoisingSteps) => [(_root, "max_denoising_steps")],
        nameof(GenerationOptions.EntropyBound) => [(_sampler, "entropy_bound")],
        nameof(GenerationOptions.TMin) => [(_root, "t_min")],
        nameof(GenerationOptions.TMax) => [(_root, "t_max"), (_root, "t_min")],
        nameof(GenerationOptions.TopK) => [(_root, "top_k")],
        nameof(GenerationOptions.TopP) => [(_root, "top_p")],
        nameof(GenerationOptions.StabilityThreshold) => [(_root, "stability_threshold")],
        nameof(GenerationOptions.ConfidenceThreshold) => [(_root, "confidence_threshold")],
        nameof(GenerationOptions.EosTokenIds) => [(_root, "eos_token_id")],
        nameof(GenerationOptions.PadTokenId) => [(_root, "pad_token_id")],
        _ => [],
    };

    private static bool IsNeutral(JsonNode value, double[] neutral) =>
        value is JsonArray { Count: 0 } || value is JsonValue number && number.TryGetValue(out double found) && neutral.Contains(found);

    private T? Value<T>(JsonObject from, string key)
        where T : struct =>
        from[key] switch
        {
            null => null,
            JsonValue value when value.TryGetValue(out T number) => number,
            JsonNode other => throw Wrong(key, other),
        };

    private InvalidDataException Wrong(string key, JsonNode found) =>
        new($"{_path}: '{key}' is {Show(found)}, expected a number. Correct the entry, or remove it.");

    private static string Show(JsonNode value) =>
        value.ToJsonString() is { Length: > LongestShown } text ? text[..LongestShown] + "..." : value.ToJsonString();
}
