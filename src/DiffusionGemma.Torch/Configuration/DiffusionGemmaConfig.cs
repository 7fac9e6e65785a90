using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A checkpoint's config.json: the sizes and options of the model, checked. Both forms are read: `global_head_dim` with
/// `num_global_key_value_heads`, and `per_layer_config`. An option whose value is not supported is an error that names it.
/// </summary>
/// <remarks>The vision part is not read: the library trains and runs on text, and copies the vision tensors.</remarks>
public sealed record DiffusionGemmaConfig
{
    internal const string FileName = "config.json";

    internal DiffusionGemmaConfig()
    {
    }

    /// <summary>Tokens of one canvas, which are denoised together.</summary>
    public int CanvasLength { get; internal init; }

    /// <summary>Rows of the embedding and classes of the head.</summary>
    public int VocabularySize { get; internal init; }

    /// <summary>Width of the residual stream.</summary>
    public int HiddenSize { get; internal init; }

    /// <summary>Width of the dense MLP and of the self-conditioning block.</summary>
    public int IntermediateSize { get; internal init; }

    /// <summary>Width of one expert.</summary>
    public int MoeIntermediateSize { get; internal init; }

    /// <summary>Experts of a layer.</summary>
    public int NumExperts { get; internal init; }

    /// <summary>Experts that each token is sent to.</summary>
    public int TopKExperts { get; internal init; }

    /// <summary>Layers of the one stack that both passes run.</summary>
    public int NumHiddenLayers { get; internal init; }

    /// <summary>The kind of attention of each layer; the last one is full.</summary>
    public IReadOnlyList<AttentionKind> LayerTypes { get; internal init; } = [];

    /// <summary>Query heads of every layer.</summary>
    public int NumAttentionHeads { get; internal init; }

    /// <summary>Key-value heads of sliding layers.</summary>
    public int NumKeyValueHeads { get; internal init; }

    /// <summary>Dimensions of a head on sliding layers.</summary>
    public int HeadDim { get; internal init; }

    /// <summary>Dimensions of a head on full layers: the last layer's. <see cref="Layer"/> is exact for every layer.</summary>
    public int GlobalHeadDim => Layer(NumHiddenLayers - 1).HeadDim;

    /// <summary>Key-value heads of full layers: the last layer's. <see cref="Layer"/> is exact for every layer.</summary>
    public int NumGlobalKeyValueHeads => Layer(NumHiddenLayers - 1).KeyValueHeads;

    /// <summary>Positions that a query of a sliding layer sees, itself included.</summary>
    public int SlidingWindow { get; internal init; }

    /// <summary>The number of positions that the checkpoint was trained for.</summary>
    public int MaxPositionEmbeddings { get; internal init; }

    /// <summary>The epsilon added to the mean square in every RMSNorm.</summary>
    public double RmsNormEpsilon { get; internal init; }

    /// <summary>The constant c of the head's soft-cap, c * tanh(logits / c).</summary>
    public double FinalLogitSoftcapping { get; internal init; }

    /// <summary>Standard deviation of new weights, for adapters and tests; a missing tensor is an error.</summary>
    public double InitializerRange { get; internal init; }

    /// <summary>Id of the token at the start of every prompt.</summary>
    public int BosTokenId { get; internal init; }

    /// <summary>Id of the padding token, whose row of the embedding gets no gradient from look-ups.</summary>
    public int PadTokenId { get; internal init; }

    /// <summary>Ids of the tokens that end an answer: the root's `eos_token_id`.</summary>
    public IReadOnlyList<int> EosTokenIds { get; internal init; } = [];

    /// <summary>Id of the token at the start of an image; null if the config has none.</summary>
    public int? BoiTokenId { get; internal init; }

    /// <summary>Id of the token at the end of an image; null if the config has none.</summary>
    public int? EoiTokenId { get; internal init; }

    /// <summary>Id of the token for a piece of an image; null if the config has none.</summary>
    public int? ImageTokenId { get; internal init; }

    /// <summary>
    /// The dtype of the stored weights by the config. Null where it leaves that to the weights (absent, null or "auto"); the config of a
    /// loaded model then has the embedding table's.
    /// </summary>
    public ScalarType? DType { get; internal init; }

    /// <summary>The rotary embedding of each kind of layer.</summary>
    public IReadOnlyDictionary<AttentionKind, RopeParameters> RopeParameters { get; internal init; } =
        new Dictionary<AttentionKind, RopeParameters>();

    /// <summary>The path of the file, whose bytes are copied to a saved checkpoint.</summary>
    internal string SourcePath { get; init; } = "";

    /// <summary>The settings of quantised weights; null: they are not quantised.</summary>
    internal QuantizationSettings? Quantization { get; init; }

    /// <summary>The attention shape of each layer.</summary>
    internal IReadOnlyList<LayerShape> Layers { get; init; } = [];

    /// <summary>Reads config.json of a checkpoint folder.</summary>
    /// <param name="folder">The folder that holds config.json.</param>
    /// <exception cref="InvalidConfigurationException">The file is missing, is not JSON, lacks an option or has a value that is not
    /// supported.</exception>
    public static DiffusionGemmaConfig Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        try
        {
            DiffusionGemmaConfig config = Parse(SmallFile.ReadText(path), path);
            string modelOpt = Path.Combine(folder, QuantizationParser.ModelOptFileName);
            if (config.Quantization is not null || !File.Exists(modelOpt)) return config;
            return config with { Quantization = ConfigParser.ParseModelOpt(SmallFile.ReadText(modelOpt), modelOpt) };
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw GgufFiles.Describe(folder) is { } gguf ? new InvalidConfigurationException(folder, null, gguf, e)
                : new InvalidConfigurationException(
                path, null, "does not exist. Name the folder of a DiffusionGemma checkpoint (config.json and safetensors files).", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new InvalidConfigurationException(path, null, "may not be read by this user.", e);
        }
        catch (IOException e) when (e is not InvalidConfigurationException)
        {
            throw new InvalidConfigurationException(path, null, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads the text of a config.json.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">The file's path, for errors.</param>
    /// <exception cref="InvalidConfigurationException">The text is not JSON, lacks an option or has a value that is not
    /// supported.</exception>
    public static DiffusionGemmaConfig Parse(string json, string source) => ConfigParser.Parse(json, source);

    /// <summary>Returns the shape of one layer's attention.</summary>
    /// <param name="n">The layer, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The model has no such layer.</exception>
    public LayerShape Layer(int n)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(n);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(n, Layers.Count);
        return Layers[n];
    }
}
