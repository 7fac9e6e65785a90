using Microsoft.ML;

namespace DiffusionGemma;

// Typed answers: columns and scores from a language.
public sealed partial class DiffusionGemmaCatalog
{
    /// <summary>
    /// Reads texts into a column for each property of a type, and adds the whole answer as <c>ResponseJson</c>.
    /// <see cref="ExtractionEstimator"/>.
    /// </summary>
    /// <typeparam name="T">The type, by System.Text.Json's schema of it.</typeparam>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="inputColumnName">Text: what is read.</param>
    /// <param name="instructions">The system message of every prompt; null: none.</param>
    /// <param name="generation">How the model answers; null: as the checkpoint's generation_config.json says.</param>
    /// <param name="batchSize">Rows that are answered at once.</param>
    /// <exception cref="GrammarException">The type's schema holds what grammars do not read; the part is named.</exception>
    /// <exception cref="ArgumentException">An option is out of range; or the type is no object; or its shortest instance is too
    /// long.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public ExtractionEstimator Extract<T>(string checkpoint, string inputColumnName = "Text", string? instructions = null,
        GenerationOptions? generation = null, int batchSize = 8) =>
        Extract<T>(checkpoint, new ExtractionEstimator.Options
        {
            InputColumnName = inputColumnName, Instructions = instructions,
            Answers = new AnswerOptions { Generation = generation ?? new GenerationOptions(), BatchSize = batchSize },
        });

    /// <summary>
    /// Reads texts into a column for each property of a type, and adds the whole answer as <c>ResponseJson</c>.
    /// <see cref="ExtractionEstimator"/>.
    /// </summary>
    /// <typeparam name="T">The type, by System.Text.Json's schema of it.</typeparam>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="options">Columns, prompt and settings of answering.</param>
    /// <inheritdoc cref="Extract{T}(string, string, string?, GenerationOptions?, int)" path="/exception"/>
    public ExtractionEstimator Extract<T>(string checkpoint, ExtractionEstimator.Options options) =>
        Extract(Source(checkpoint), typeof(T), GrammarOf<T>(options), options);

    /// <summary>
    /// Reads texts into a column for each property of a type, with a trained model, and adds the whole answer as <c>ResponseJson</c>.
    /// </summary>
    /// <typeparam name="T">The type, by System.Text.Json's schema of it.</typeparam>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It keeps owning the weights.</param>
    /// <param name="inputColumnName">Text: what is read.</param>
    /// <param name="instructions">The system message of every prompt; null: none.</param>
    /// <exception cref="GrammarException">The type's schema holds what grammars do not read; the part is named.</exception>
    /// <exception cref="ArgumentException">No part of the model answers, or the type is no object, or its shortest instance is too
    /// long.</exception>
    public ExtractionEstimator Extract<T>(ITransformer model, string inputColumnName = "Text", string? instructions = null) =>
        Extract<T>(model, new ExtractionEstimator.Options { InputColumnName = inputColumnName, Instructions = instructions });

    /// <summary>
    /// Reads texts into a column for each property of a type, with a trained model, and adds the whole answer as <c>ResponseJson</c>.
    /// </summary>
    /// <typeparam name="T">The type, by System.Text.Json's schema of it.</typeparam>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It keeps owning the weights.</param>
    /// <param name="options">Columns, prompt and settings of answering.</param>
    /// <inheritdoc cref="Extract{T}(ITransformer, string, string?)" path="/exception"/>
    public ExtractionEstimator Extract<T>(ITransformer model, ExtractionEstimator.Options options) =>
        Extract(ModelSource.Of(AnsweringPart(model)), typeof(T), GrammarOf<T>(options), options);

    /// <summary>
    /// Reads texts into a column for each property of a JSON schema, and adds the whole answer as <c>ResponseJson</c>.
    /// <see cref="ExtractionEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="grammar">Made by <see cref="AnswerGrammar.JsonSchema"/>.</param>
    /// <param name="options">Columns, prompt and settings of answering.</param>
    /// <inheritdoc cref="Extract{T}(string, string, string?, GenerationOptions?, int)" path="/exception"/>
    public ExtractionEstimator Extract(string checkpoint, AnswerGrammar grammar, ExtractionEstimator.Options options) =>
        Extract(Source(checkpoint), type: null, grammar, options);

    /// <summary>
    /// Reads texts into a column for each property of a JSON schema, with a trained model, and adds the whole answer as
    /// <c>ResponseJson</c>.
    /// </summary>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It keeps owning the weights.</param>
    /// <param name="grammar">Made by <see cref="AnswerGrammar.JsonSchema"/>.</param>
    /// <param name="options">Columns, prompt and settings of answering.</param>
    /// <inheritdoc cref="Extract{T}(ITransformer, string, string?)" path="/exception"/>
    public ExtractionEstimator Extract(ITransformer model, AnswerGrammar grammar, ExtractionEstimator.Options options) =>
        Extract(ModelSource.Of(AnsweringPart(model)), type: null, grammar, options);

    /// <summary>
    /// Classifies texts: adds the likeliest label (<c>PredictedLabel</c>, a key) and the probability of each label (<c>Score</c>).
    /// <see cref="ClassificationEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="labels">The labels, as the model is to write them; one may be the beginning of another.</param>
    /// <param name="inputColumnName">Text: what is classified.</param>
    /// <param name="labelColumnName">Text: the true label, which becomes the key <c>Label</c>; null: none is read.</param>
    /// <param name="instructions">The system message of every prompt; null: none.</param>
    /// <param name="batchSize">Rows that are classified at once.</param>
    /// <exception cref="GrammarException">There is no label, or one twice, or one is empty, or the tokenizer cannot spell it.</exception>
    /// <exception cref="ArgumentException">An option is out of range, or a label is longer than a canvas.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public ClassificationEstimator Classify(string checkpoint, IReadOnlyList<string> labels, string inputColumnName = "Text",
        string? labelColumnName = null, string? instructions = null, int batchSize = 8) =>
        Classify(checkpoint, labels, new ClassificationEstimator.Options
        {
            InputColumnName = inputColumnName, LabelColumnName = labelColumnName, Instructions = instructions,
            Answers = new AnswerOptions { BatchSize = batchSize },
        });

    /// <summary>
    /// Classifies texts: adds the likeliest label (<c>PredictedLabel</c>, a key) and the probability of each label (<c>Score</c>).
    /// <see cref="ClassificationEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="labels">The labels, as the model is to write them; one may be the beginning of another.</param>
    /// <param name="options">Columns, prompt and the way to make scores.</param>
    /// <inheritdoc cref="Classify(string, IReadOnlyList{string}, string, string?, string?, int)" path="/exception"/>
    public ClassificationEstimator Classify(string checkpoint, IReadOnlyList<string> labels, ClassificationEstimator.Options options) =>
        new(_environment, Source(checkpoint), labels, options);

    /// <summary>
    /// Classifies texts with a trained model: adds the likeliest label (<c>PredictedLabel</c>, a key) and the probability of each label
    /// (<c>Score</c>).
    /// </summary>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It keeps owning the weights.</param>
    /// <param name="labels">The labels, as the model is to write them; one may be the beginning of another.</param>
    /// <param name="inputColumnName">Text: what is classified.</param>
    /// <param name="labelColumnName">Text: the true label, which becomes the key <c>Label</c>; null: none is read.</param>
    /// <param name="instructions">The system message of every prompt; null: none.</param>
    /// <exception cref="GrammarException">There is no label, or one twice, or one is empty, or the tokenizer cannot spell it.</exception>
    /// <exception cref="ArgumentException">No part of the model answers, or a label is longer than a canvas.</exception>
    public ClassificationEstimator Classify(ITransformer model, IReadOnlyList<string> labels, string inputColumnName = "Text",
        string? labelColumnName = null, string? instructions = null) =>
        Classify(model, labels, new ClassificationEstimator.Options
        {
            InputColumnName = inputColumnName, LabelColumnName = labelColumnName, Instructions = instructions,
        });

    /// <summary>
    /// Classifies texts with a trained model: adds the likeliest label (<c>PredictedLabel</c>, a key) and the probability of each label
    /// (<c>Score</c>).
    /// </summary>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It keeps owning the weights.</param>
    /// <param name="labels">The labels, as the model is to write them; one may be the beginning of another.</param>
    /// <param name="options">Columns, prompt and the way to make scores.</param>
    /// <inheritdoc cref="Classify(ITransformer, IReadOnlyList{string}, string, string?, string?)" path="/exception"/>
    public ClassificationEstimator Classify(ITransformer model, IReadOnlyList<string> labels, ClassificationEstimator.Options options) =>
        new(_environment, ModelSource.Of(AnsweringPart(model)), labels, options);

    private static AnswerGrammar GrammarOf<T>(ExtractionEstimator.Options options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return AnswerGrammar.Json<T>(options.Serializer, options.Grammar);
    }

    private ExtractionEstimator Extract(ModelSource model, Type? type, AnswerGrammar grammar, ExtractionEstimator.Options options)
    {
        ArgumentNullException.ThrowIfNull(grammar);
        return new ExtractionEstimator(_environment, model, grammar, type, options);
    }

    private ModelSource Source(string checkpoint)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        return ModelSource.Of(HubDownloads.FindCheckpoint(_environment, checkpoint));
    }
}
