using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The parts of a DiffusionGemma pipeline: <c>mlContext.Transforms.DiffusionGemma</c>.</summary>
public sealed class DiffusionGemmaCatalog
{
    private readonly IHostEnvironment _environment;

    internal DiffusionGemmaCatalog(IHostEnvironment environment) => _environment = environment;

    /// <summary>Tokenizes conversations and masks the assistant's turns: <see cref="ChatTokenizingEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its tokenizer and chat template are used.</param>
    /// <param name="inputColumn">Text: the conversation as JSON.</param>
    /// <param name="outputIds">Vector of int: the token ids.</param>
    /// <param name="outputMask">Vector of bool, as long: true for what the assistant said.</param>
    /// <param name="escapeSpecialTokens">
    /// Take the text of a special token inside a message, such as <c>&lt;turn|&gt;</c>, for that text. False, as in transformers: it
    /// becomes the token.
    /// </param>
    /// <exception cref="FileNotFoundException">The folder has no tokenizer.json.</exception>
    /// <exception cref="InvalidDataException">Its tokenizer or template is broken or not supported.</exception>
    public ChatTokenizingEstimator TokenizeChat(string checkpoint, string inputColumn = ChatColumns.Messages,
        string outputIds = ChatColumns.InputIds,
        string outputMask = ChatColumns.AssistantMask, bool escapeSpecialTokens = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(inputColumn);
        ArgumentException.ThrowIfNullOrEmpty(outputIds);
        ArgumentException.ThrowIfNullOrEmpty(outputMask);
        CheckpointText text = CheckpointText.Read(HubDownloads.FindCheckpoint(_environment, checkpoint));
        _ = text.Tokenizer;                                         // a broken file is an error here, not at the first row
        return new ChatTokenizingEstimator(_environment, new ChatTokenizingTransformer(_environment, text, inputColumn, outputIds,
            outputMask, escapeSpecialTokens));
    }

    /// <summary>Masks the last assistant turn and finds the end of the prompt: <see cref="ResponseMaskingEstimator"/>.</summary>
    /// <remarks>
    /// To train on earlier turns too, give a row for each, cut after that turn: canvases are packed from where one response starts.
    /// </remarks>
    /// <param name="inputColumn">Vector of bool: true for what the assistant said, in every turn.</param>
    /// <param name="outputMask">Vector of bool, as long: true for the last turn's tokens.</param>
    /// <param name="promptLength">Int: the tokens before them.</param>
    public ResponseMaskingEstimator MaskResponse(string inputColumn = ChatColumns.AssistantMask, string outputMask = ChatColumns.LossMask,
        string promptLength = ChatColumns.PromptLength)
    {
        ArgumentException.ThrowIfNullOrEmpty(inputColumn);
        ArgumentException.ThrowIfNullOrEmpty(outputMask);
        ArgumentException.ThrowIfNullOrEmpty(promptLength);
        return new ResponseMaskingEstimator(_environment, inputColumn, outputMask, promptLength);
    }

    /// <summary>Fills responses up to whole canvases: <see cref="CanvasPackingEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its canvas length and end token are used.</param>
    /// <param name="maxLength">Tokens a row at most; what is beyond is cut off, and counted in <c>CutTokens</c>.</param>
    /// <param name="padMultiple">The padded length is a multiple of this and of the canvas length, where the maximum allows; null: the
    /// canvas length.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the checkpoint names no end token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public CanvasPackingEstimator PackCanvas(string checkpoint, int maxLength = 1024, int? padMultiple = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(padMultiple ?? 1, 1, nameof(padMultiple));
        var options = PackingOptions.Load(HubDownloads.FindCheckpoint(_environment, checkpoint), maxLength, padMultiple);
        return new CanvasPackingEstimator(_environment, new CanvasPackingTransformer(_environment, options));
    }

    /// <summary>Fine-tunes a checkpoint; the fitted model answers: <see cref="DiffusionGemmaEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub (downloaded). It is never written to.</param>
    /// <param name="options">How to train; copied. A null <see cref="FineTuneOptions.Seed"/> is the MLContext's.</param>
    /// <param name="generation">How the fitted model answers; null: as the checkpoint's generation_config.json says.</param>
    /// <param name="batchSize">Prompts that the fitted model answers at once.</param>
    /// <param name="progress">Receives a record after every step.</param>
    /// <param name="rows">Where packed rows are kept; null: up to 1 GiB in memory, beyond that in a temporary file.</param>
    /// <param name="cancellation">Ends the training with <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range, or full fine-tuning has no OutputFolder of its own.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public DiffusionGemmaEstimator FineTune(string checkpoint, FineTuneOptions options, GenerationOptions? generation = null,
        int batchSize = 8, IProgress<StepRecord>? progress = null, TrainingRowOptions? rows = null,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var answers = new AnswerOptions { Generation = generation ?? new GenerationOptions(), BatchSize = batchSize };
        return FineTune(checkpoint, options, answers, progress, rows, cancellation);
    }

    /// <summary>Fine-tunes a checkpoint; the fitted model answers: <see cref="DiffusionGemmaEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub (downloaded). It is never written to.</param>
    /// <param name="options">How to train; copied. A null <see cref="FineTuneOptions.Seed"/> is the MLContext's.</param>
    /// <param name="answers">How the fitted model answers.</param>
    /// <param name="progress">Receives a record after every step.</param>
    /// <param name="rows">Where packed rows are kept; null: up to 1 GiB in memory, beyond that in a temporary file.</param>
    /// <param name="cancellation">Ends the training with <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range, or full fine-tuning has no OutputFolder of its own.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public DiffusionGemmaEstimator FineTune(string checkpoint, FineTuneOptions options, AnswerOptions answers,
        IProgress<StepRecord>? progress = null, TrainingRowOptions? rows = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(answers);
        rows ??= new TrainingRowOptions();
        checkpoint = HubDownloads.FindCheckpoint(_environment, checkpoint);
        return new DiffusionGemmaEstimator(_environment, checkpoint, options, answers, rows, progress, cancellation);
    }

    /// <summary>Reads the packed rows of a data view, for <see cref="EvaluationOptions.Examples"/> and <see cref="FineTuner"/>.</summary>
    /// <remarks>Rows that cannot be trained on are left out. The caller disposes the result.</remarks>
    /// <param name="packed">Rows from <see cref="PackCanvas"/>.</param>
    /// <param name="maxBytesInMemory">Beyond this the rows are kept in a temporary file.</param>
    /// <param name="scratchFolder">Where that file is made; null: the system's folder for temporary files.</param>
    /// <exception cref="TrainingException">No row can be trained on, or they cannot be kept.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public PackedRowStore PackedRows(IDataView packed, long maxBytesInMemory = PackedRowStore.DefaultMaxBytes, string? scratchFolder = null)
    {
        ArgumentNullException.ThrowIfNull(packed);
        return TrainingRows.Read(packed, _environment.Register(nameof(PackedRows)), maxBytesInMemory, scratchFolder).Examples;
    }

    /// <summary>Answers with a checkpoint as it is, untrained: <see cref="DiffusionGemmaAnswerEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="generation">How the model answers; null: as the checkpoint's generation_config.json says.</param>
    /// <param name="batchSize">Prompts that are answered at once.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public DiffusionGemmaAnswerEstimator Answer(string checkpoint, GenerationOptions? generation = null, int batchSize = 8)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        return Answer(checkpoint, new AnswerOptions { Generation = generation ?? new GenerationOptions(), BatchSize = batchSize });
    }

    /// <summary>Answers with a checkpoint as it is, untrained: <see cref="DiffusionGemmaAnswerEstimator"/>.</summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; or one that full fine-tuning wrote.</param>
    /// <param name="options">How the model answers.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="IOException">The folder is no checkpoint that can be read.</exception>
    public DiffusionGemmaAnswerEstimator Answer(string checkpoint, AnswerOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        return new DiffusionGemmaAnswerEstimator(_environment, HubDownloads.FindCheckpoint(_environment, checkpoint), options);
    }

    /// <summary>Compares answers with expected texts: exact match, tokens a decoder pass, seconds, and one result a row.</summary>
    /// <remarks>Reads the data once.</remarks>
    /// <param name="scored">Rows with answers: what a <see cref="DiffusionGemmaTransformer"/> made of conversations that end with the
    /// expected answer.</param>
    /// <param name="match">When an answer counts as right.</param>
    /// <param name="expectedColumn">Text: what is expected; null: the assistant's last turn in <see cref="ChatColumns.Messages"/>.</param>
    /// <exception cref="ArgumentException">The data has no such column.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public AnswerMetrics Evaluate(IDataView scored, AnswerMatch match = AnswerMatch.Number, string? expectedColumn = null) =>
        Evaluate(scored, new AnswerEvaluationOptions { Match = match, ExpectedColumn = expectedColumn });

    /// <summary>Compares answers with expected texts: exact match, tokens a decoder pass, seconds, and one result a row.</summary>
    /// <remarks>Reads the data once.</remarks>
    /// <param name="scored">Rows with answers.</param>
    /// <param name="options">Columns and rule of the comparison.</param>
    /// <exception cref="ArgumentException">The data has no such column, or an option does not fit the others.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public AnswerMetrics Evaluate(IDataView scored, AnswerEvaluationOptions options)
    {
        ArgumentNullException.ThrowIfNull(scored);
        ArgumentNullException.ThrowIfNull(options);
        return AnswerEvaluator.Evaluate(_environment, scored, options);
    }

    /// <summary>Answers rows and compares the answers with expected texts.</summary>
    /// <remarks>
    /// A row that cannot be answered counts as wrong, also where the model's <see cref="AnswerOptions.OnFailure"/> is
    /// <see cref="RowFailure.Throw"/>. Reads the weights, then the data once.
    /// </remarks>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded.</param>
    /// <param name="data">Conversations that end with the expected answer, or with a column of expected answers.</param>
    /// <param name="match">When an answer counts as right.</param>
    /// <param name="expectedColumn">Text: what is expected; null: the assistant's last turn in <see cref="ChatColumns.Messages"/>.</param>
    /// <exception cref="ArgumentException">No part of the model answers, or the data has no such column.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public AnswerMetrics Evaluate(ITransformer model, IDataView data, AnswerMatch match = AnswerMatch.Number,
        string? expectedColumn = null) =>
        Evaluate(model, data, new AnswerEvaluationOptions { Match = match, ExpectedColumn = expectedColumn });

    /// <inheritdoc cref="Evaluate(ITransformer, IDataView, AnswerMatch, string?)"/>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded.</param>
    /// <param name="data">The rows that the model reads.</param>
    /// <param name="options">Columns and rule of the comparison.</param>
    public AnswerMetrics Evaluate(ITransformer model, IDataView data, AnswerEvaluationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        IDataView scored = Score(model, data, answers => answers with { OnFailure = RowFailure.EmptyAnswer });
        _ = AnsweringPart(model).Model;                             // its seconds are not those of the answers
        return Evaluate(scored, options);
    }

    /// <summary>
    /// Finds the part of a model that answers, which has the adapter, <see cref="DiffusionGemmaTransformer.Infill"/> and
    /// <see cref="DiffusionGemmaTransformer.Refine"/>.
    /// </summary>
    /// <remarks>The model keeps owning it.</remarks>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded.</param>
    /// <exception cref="ArgumentException">No part of the model answers.</exception>
    public DiffusionGemmaTransformer AnsweringPart(ITransformer model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return DiffusionGemma.AnsweringPart.Find(model);
    }

    /// <summary>
    /// Answers rows with other options than the model's own: <c>gemma.Score(model, data, o => o with { BatchSize = 32 })</c>.
    /// </summary>
    /// <param name="model">A model that answers, or a pipeline with one in it, fitted or loaded. It stays as it is.</param>
    /// <param name="data">The rows that the model reads.</param>
    /// <param name="options">From the model's options to those of this view.</param>
    /// <exception cref="ArgumentException">No part of the model answers, or an option is out of range.</exception>
    public IDataView Score(ITransformer model, IDataView data, Func<AnswerOptions, AnswerOptions> options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(options);
        _ = AnsweringPart(model);
        return DiffusionGemma.AnsweringPart.Transform(model, data, options);
    }

    /// <summary>
    /// Shows one conversation as training would see it: ids, pieces, supervised part, canvases, and the part that is cut off.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub.</param>
    /// <param name="conversation">A row of the Messages column: the messages array as JSON, or an object with <c>messages</c>.</param>
    /// <param name="maxLength">Tokens a row at most.</param>
    /// <param name="escapeSpecialTokens">As for <see cref="TokenizeChat"/>.</param>
    /// <exception cref="ChatException">The conversation is malformed, or the template refuses it.</exception>
    /// <exception cref="ArgumentException">The length is not positive, or the checkpoint names no end token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public ChatPreview Preview(string checkpoint, string conversation, int maxLength = 1024, bool escapeSpecialTokens = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(conversation);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        checkpoint = HubDownloads.FindCheckpoint(_environment, checkpoint);
        return ChatPreview.Create(CheckpointText.Read(checkpoint).GetTokenizer(escapeSpecialTokens), conversation,
            PackingOptions.Load(checkpoint, maxLength));
    }

    /// <summary>Computes statistics of a data set as training would see it: lengths, canvases, rows that are cut or left out.</summary>
    /// <remarks>Reads all rows once; the model is not needed.</remarks>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub.</param>
    /// <param name="data">Conversations.</param>
    /// <param name="maxLength">Tokens a row at most.</param>
    /// <param name="inputColumn">Text: the conversation as JSON.</param>
    /// <param name="escapeSpecialTokens">As for <see cref="TokenizeChat"/>.</param>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    /// <exception cref="ArgumentException">The data has no such column, the length is not positive, or the checkpoint names no end
    /// token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public ChatDataSummary Summarize(string checkpoint, IDataView data, int maxLength = 1024, string inputColumn = ChatColumns.Messages,
        bool escapeSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        checkpoint = HubDownloads.FindCheckpoint(_environment, checkpoint);
        IDataView masked = TokenizeChat(checkpoint, inputColumn, escapeSpecialTokens: escapeSpecialTokens).Append(MaskResponse()).Fit(data)
            .Transform(data);
        return ChatDataSummary.Create(masked, PackingOptions.Load(checkpoint, maxLength));
    }
}
