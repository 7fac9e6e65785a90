using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffusionGemma;

/// <summary>adapter_config.json as PEFT writes it: settings that are supported; others are refused.</summary>
internal sealed record PeftConfig(int Rank, double Alpha, bool RankStabilized, double Dropout)
{
    public const string FileName = "adapter_config.json";

    /// <summary>The first version of PEFT with the layout of expert stacks that is written here.</summary>
    private const string StackLayoutVersion = "0.19.1";

    /// <summary>PEFT's own, where a file names none.</summary>
    private const int DefaultRank = 8;

    /// <summary>Ranks that differ from <see cref="Rank"/>.</summary>
    public PeftPattern RankPattern { get; init; } = PeftPattern.None;

    /// <summary>Numerators that differ from <see cref="Alpha"/>.</summary>
    public PeftPattern AlphaPattern { get; init; } = PeftPattern.None;

    /// <summary>Expert stacks that a file names; see <see cref="ExpertTargets"/>.</summary>
    public IReadOnlyList<string> TargetParameters { get; private init; } = [];

    /// <summary>Modules that were trained whole and stored beside the pairs; see <see cref="EmbeddingCopies"/>.</summary>
    public IReadOnlyList<string> ModulesToSave { get; private init; } = [];

    /// <summary>Settings that this library does not know, and that are not null, false, 0 or empty.</summary>
    public IReadOnlyList<string> UnknownKeys { get; private init; } = [];

    /// <summary>The version of PEFT that wrote the file, null where it is not named.</summary>
    public Version? PeftVersion { get; private init; }

    /// <summary>Returns r of a module, or of a module's parameter, by its name in transformers.</summary>
    public int RankOf(string name) => (int)RankPattern.Find(name, Rank);

    /// <summary>Returns the factor of B A of a module, or of a module's parameter.</summary>
    public double ScaleOf(string name) => AlphaPattern.Find(name, Alpha) / (RankStabilized ? Math.Sqrt(RankOf(name)) : RankOf(name));

    // Settings that change what the adapter computes: refused by name unless absent, null, false, 0 or empty.
    private static readonly string[] Refused =
    [
        "use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication",
        "loftq_config", "corda_config", "arrow_config", "kasa_config", "velora_config", "monteclora_config", "lora_ga_config",
        "megatron_config",
        "alora_invocation_tokens", "trainable_token_indices", "ensure_weight_tying",
    ];

    /// <summary>Settings that are read, and those that say how the adapter was made or which modules it has.</summary>
    private static readonly string[] Known =
    [
        .. Refused, "peft_type", "bias", "init_lora_weights", "r", "lora_alpha", "use_rslora", "lora_dropout", "peft_version",
        "rank_pattern", "alpha_pattern", "target_parameters", "modules_to_save", "auto_mapping", "base_model_name_or_path", "revision",
        "inference_mode", "task_type", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core",
        "eva_config", "runtime_config", "qalora_group_size", "fan_in_fan_out",
    ];

    public static PeftConfig Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        JsonObject root;
        try
        {
            root = PythonJson.ReadObject(SmallFile.ReadText(path));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new AdapterException(
                $"{path}: no readable adapter configuration ({e.Message}). Give the folder that PEFT or LoraAdapter.Save wrote.", e);
        }

        T Value<T>(string key, T otherwise)
        {
            try
            {
                return root[key] is JsonNode node ? node.GetValue<T>() : otherwise;
            }
            catch (Exception e) when (e is InvalidOperationException or FormatException)
            {
                throw new AdapterException($"{path}: '{key}' is {root[key]!.ToJsonString()}, expected {Describe(typeof(T))}.", e);
            }
        }

        IReadOnlyList<string> Names(string key) => root[key] switch
        {
            null => [],
            JsonArray list when list.All(item => item?.GetValueKind() == JsonValueKind.String) =>
                [.. list.Select(item => item!.GetValue<string>())],
            JsonNode other => throw new AdapterException($"{path}: '{key}' is {other.ToJsonString()}, expected a list of names."),
        };

        PeftPattern Pattern(string key, bool whole)
        {
            try
            {
                return PeftPattern.Parse(root[key], whole);
            }
            catch (FormatException e)
            {
                throw new AdapterException($"{path}: '{key}' is {root[key]!.ToJsonString()}: {e.Message}.", e);
            }
        }

        if (Value("peft_type", "") != "LORA")
            throw new AdapterException($"{path}: peft_type is '{Value("peft_type", "")}'; only LORA adapters are supported.");
        if (Value("bias", "none") != "none")
            throw new AdapterException($"{path}: bias is '{Value("bias", "")}'; adapters with trained biases are not supported.");
        foreach (string key in Refused)
            if (IsSet(root[key]))
                throw new AdapterException(
                    $"{path}: '{key}' is {root[key]!.ToJsonString()}, which is not supported. Convert or merge the adapter with PEFT "
                    + "first.");
        string? initialization = root["init_lora_weights"] is JsonValue init && init.TryGetValue(out string? name) ? name : null;
        if (initialization is not (null or "gaussian" or "orthogonal" or "eva"))
            throw new AdapterException(
                $"{path}: init_lora_weights is '{initialization}', which changes the base weights and is not supported. Convert the "
                + "adapter with PEFT first.");
        int rank = Value("r", DefaultRank);
        if (rank < 1) throw new AdapterException($"{path}: 'r' is {rank}, expected a positive rank.");
        double alpha = Value("lora_alpha", 8.0);
        if (!double.IsFinite(alpha)) throw new AdapterException($"{path}: 'lora_alpha' is {alpha}, expected a finite number.");
        double dropout = Value("lora_dropout", 0.0);
        if (dropout is not (>= 0 and < 1))
            throw new AdapterException($"{path}: 'lora_dropout' is {dropout}, expected a number from 0 to below 1.");
        return new PeftConfig(rank, alpha, Value("use_rslora", false), dropout)
        {
            UnknownKeys = [.. root.Where(entry => !Known.Contains(entry.Key) && IsSet(entry.Value)).Select(entry => entry.Key)],
            PeftVersion = ParseVersion(Value("peft_version", "")),
            RankPattern = Pattern("rank_pattern", whole: true),
            AlphaPattern = Pattern("alpha_pattern", whole: false),
            TargetParameters = Names("target_parameters"),
            ModulesToSave = Names("modules_to_save"),
        };
    }

    /// <summary>Writes the file's text, keys in PEFT's own (alphabetical) order.</summary>
    public string ToJson(string baseModelNameOrPath, string? revision, string? targetModules, IReadOnlyList<string>? targetParameters)
    {
        var root = new JsonObject
        {
            ["alpha_pattern"] = AlphaPattern.ToJson(),
            ["auto_mapping"] = new JsonObject
            {
                ["base_model_class"] = "DiffusionGemmaForBlockDiffusion",
                ["parent_library"] = "transformers.models.diffusion_gemma.modeling_diffusion_gemma",
            },
            ["base_model_name_or_path"] = baseModelNameOrPath,
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["lora_alpha"] = Number(Alpha),
            // PEFT refuses target_parameters beside a dropout, which only training uses
            ["lora_dropout"] = targetParameters is null ? Dropout : 0.0,
            ["modules_to_save"] = null,
            ["peft_type"] = "LORA",
            ["peft_version"] = StackLayoutVersion,
            ["r"] = Rank,
            ["rank_pattern"] = RankPattern.ToJson(),
            ["revision"] = revision,
            ["target_modules"] = targetModules is null ? new JsonArray() : JsonValue.Create(targetModules),
            ["target_parameters"] = targetParameters is null
                ? null
                : new JsonArray([.. targetParameters.Select(name => JsonValue.Create(name))]),
            ["task_type"] = null,
            ["use_dora"] = false,
            ["use_rslora"] = RankStabilized,
        };
        return root.ToJsonString(new JsonSerializerOptions
        {
            WriteIndented = true,
            NewLine = "\n",
            Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        }) + "\n";
    }

    /// <summary>Writes a whole number without a decimal point.</summary>
    internal static JsonValue Number(double value) =>
        value == Math.Floor(value) && Math.Abs(value) < 1e15 ? JsonValue.Create((long)value) : JsonValue.Create(value);

    /// <summary>Describes rank, alpha and dropout, for messages.</summary>
    public override string ToString()
    {
        FormattableString text = $"rank {Rank}, alpha {Alpha}{(RankStabilized ? ", rank-stabilised" : "")}, dropout {Dropout}";
        string ranks = RankPattern.ToString(), alphas = AlphaPattern.ToString();
        string patterns = $"{(ranks.Length > 0 ? $", ranks {ranks}" : "")}{(alphas.Length > 0 ? $", alphas {alphas}" : "")}";
        return text.ToString(CultureInfo.InvariantCulture) + patterns;
    }

    /// <summary>Reads "0.19.1" of "0.19.1", "0.19.1.dev0" or "0.19.1@UNKNOWN"; null where there is no such number.</summary>
    private static Version? ParseVersion(string text)
    {
        IEnumerable<string> numbers = text.Trim().TrimStart('v').Split('.').Take(3)
            .Select(part => string.Concat(part.TakeWhile(char.IsAsciiDigit))).TakeWhile(number => number.Length > 0);
        return Version.TryParse(string.Join('.', numbers), out Version? version) ? version : null;
    }

    private static string Describe(Type type) =>
        type == typeof(string) ? "a text" : type == typeof(bool) ? "true or false" : type == typeof(int) ? "a whole number" : "a number";

    private static bool IsSet(JsonNode? node) => node switch
    {
        null => false,
        JsonObject o => o.Count > 0,
        JsonArray a => a.Count > 0,
        JsonValue v when v.TryGetValue(out bool flag) => flag,
        JsonValue v when v.TryGetValue(out double number) => number != 0,
        _ => true,
    };
}
