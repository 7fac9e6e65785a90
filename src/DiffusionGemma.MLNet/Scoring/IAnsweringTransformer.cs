using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>A transformer whose columns are made of a model's answers.</summary>
internal interface IAnsweringTransformer : ITransformer
{
    /// <summary>The transformer that owns the model.</summary>
    DiffusionGemmaTransformer Answering { get; }

    /// <summary>Settings for answering rows.</summary>
    AnswerOptions Options { get; }

    /// <summary>Answers rows with other options than the transformer's own.</summary>
    IDataView Transform(IDataView input, AnswerOptions options);
}
