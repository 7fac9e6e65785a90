using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The model of typed answers: a checkpoint as it is, or one that was trained or loaded.</summary>
internal sealed class ModelSource
{
    private readonly DiffusionGemmaTransformer? _trained;

    private ModelSource(string folder, CheckpointText text, DiffusionGemmaTransformer? trained) =>
        (Folder, Text, _trained) = (folder, text, trained);

    /// <summary>The checkpoint's folder.</summary>
    public string Folder { get; }

    public CheckpointText Text { get; }

    /// <summary>Settings of the trained model, or the defaults.</summary>
    public AnswerOptions Options => _trained?.Options ?? new AnswerOptions();

    public static ModelSource Of(string folder) => new(folder, CheckpointText.Read(folder), null);

    public static ModelSource Of(DiffusionGemmaTransformer trained) => new(trained.Folder, trained.Text, trained);

    /// <summary>The transformer that owns the weights, and whether it was made here.</summary>
    /// <param name="environment">The environment.</param>
    /// <param name="quantization">The rounding of a checkpoint's weights on loading; a trained model has its own.</param>
    public (DiffusionGemmaTransformer Answering, bool IsNew) Create(IHostEnvironment environment, Quantization quantization) =>
        _trained is { } trained
            ? (trained, false)
            : (DiffusionGemmaTransformer.Untrained(environment, Folder, Text, new AnswerOptions { Quantization = quantization }), true);
}
