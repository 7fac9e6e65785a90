using System.Reflection;
using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>The parts of a DiffusionGemma pipeline: <c>mlContext.Transforms.DiffusionGemma</c>.</summary>
public sealed partial class DiffusionGemmaCatalog
{
    private readonly IHostEnvironment _environment;

    internal DiffusionGemmaCatalog(IHostEnvironment environment) => _environment = environment;

    /// <summary>
    /// Tokenizes conversations: adds their token ids (<c>InputIds</c>), a mask of the assistant's turns (<c>AssistantMask</c>), and notes
    /// of what training would miss (<c>RowNotes</c>). <see cref="ChatTokenizingEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its tokenizer and chat template are used.</param>
    /// <param name="outputColumnName">Vector of int: the token ids.</param>
    /// <param name="inputColumnName">Text: the conversation as JSON.</param>
    /// <param name="escapeSpecialTokens">
    /// True: the text of a special token inside a message, such as <c>&lt;turn|&gt;</c>, stays text; false, as in transformers: it becomes
    /// the token.
    /// </param>
    /// <param name="chatTemplate">The file of a chat template of one's own, whose text is saved with the model; null: the checkpoint's.
    /// </param>
    /// <exception cref="IOException">The folder, its tokenizer.json or the template does not exist.</exception>
    /// <exception cref="InvalidDataException">The tokenizer is broken or not supported.</exception>
    /// <exception cref="ChatException">The chat template cannot be read.</exception>
    public ChatTokenizingEstimator TokenizeChat(string checkpoint, string outputColumnName = ChatColumns.InputIds,
        string inputColumnName = ChatColumns.Messages, bool escapeSpecialTokens = false, string? chatTemplate = null) =>
        TokenizeChat(checkpoint, new ChatTokenizingEstimator.Options
        {
            OutputColumnName = outputColumnName, InputColumnName = inputColumnName, EscapeSpecialTokens = escapeSpecialTokens,
            ChatTemplate = chatTemplate,
        });

    /// <summary>
    /// Tokenizes conversations: adds their token ids (<c>InputIds</c>), a mask of the assistant's turns (<c>AssistantMask</c>), and notes
    /// of what training would miss (<c>RowNotes</c>). <see cref="ChatTokenizingEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its tokenizer and chat template are used.</param>
    /// <param name="options">Columns and treatment of special tokens.</param>
    /// <inheritdoc cref="TokenizeChat(string, string, string, bool, string?)" path="/exception"/>
    public ChatTokenizingEstimator TokenizeChat(string checkpoint, ChatTokenizingEstimator.Options options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        CheckpointText text = CheckpointText.Read(HubDownloads.FindCheckpoint(_environment, checkpoint), options.ChatTemplate);
        ChatTokenizer chat = text.Tokenizer;                                        // a broken file is an error here, not at the first row
        IEnumerable<string> refused = chat.TemplateReport.RefusedAnswers is { } sentence ? [sentence] : [];
        string[] notices = [.. chat.Notices, .. refused];
        if (notices.Length > 0)
        {
            using IChannel log = _environment.Start(nameof(TokenizeChat));
            foreach (string notice in notices)
                log.Warning(MessageSensitivity.None, notice);
        }
        return new ChatTokenizingEstimator(_environment, new ChatTokenizingTransformer(_environment, text, options.InputColumnName,
            options.OutputColumnName, options.MaskColumnName, options.NotesColumnName, options.Tokenizing));
    }

    /// <summary>
    /// Masks the last assistant turn (<c>LossMask</c>) and finds the end of the prompt (<c>PromptLength</c>).
    /// <see cref="ResponseMaskingEstimator"/>.
    /// </summary>
    /// <remarks>
    /// To train on earlier turns too, give a row for each, cut after that turn: canvases are packed from where one response starts.
    /// </remarks>
    /// <param name="outputColumnName">Vector of bool, as long as the input: true for the last turn's tokens.</param>
    /// <param name="inputColumnName">Vector of bool: true for the assistant's tokens, in every turn.</param>
    public ResponseMaskingEstimator MaskResponse(
        string outputColumnName = ChatColumns.LossMask, string inputColumnName = ChatColumns.AssistantMask) =>
        MaskResponse(new ResponseMaskingEstimator.Options { OutputColumnName = outputColumnName, InputColumnName = inputColumnName });

    /// <summary>
    /// Masks the last assistant turn (<c>LossMask</c>) and finds the end of the prompt (<c>PromptLength</c>).
    /// <see cref="ResponseMaskingEstimator"/>.
    /// </summary>
    /// <param name="options">Names of the columns.</param>
    public ResponseMaskingEstimator MaskResponse(ResponseMaskingEstimator.Options options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return new ResponseMaskingEstimator(_environment, options);
    }

    /// <summary>
    /// Fills responses up to whole canvases, in <c>InputIds</c> and <c>LossMask</c>; adds <c>CanvasCount</c>, <c>PaddedLength</c> and
    /// <c>CutTokens</c>. <see cref="CanvasPackingEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its canvas length and end token are used.</param>
    /// <param name="maxLength">The most tokens of a row; more are cut off, and counted in <c>CutTokens</c>.</param>
    /// <param name="padMultiple">The padded length is a multiple of this and of the canvas length, where the maximum allows; null: of the
    /// canvas length.</param>
    /// <param name="truncated">Treatment of rows whose answer is cut.</param>
    /// <exception cref="ArgumentException">A number is out of range, or the checkpoint names no end token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public CanvasPackingEstimator PackCanvas(string checkpoint, int maxLength = 1024, int? padMultiple = null,
        TruncatedRows truncated = TruncatedRows.Keep) =>
        PackCanvas(checkpoint, new CanvasPackingEstimator.Options
        {
            MaxLength = maxLength,
            PadMultiple = padMultiple,
            Truncated = truncated,
        });

    /// <summary>
    /// Fills responses up to whole canvases, in <c>InputIds</c> and <c>LossMask</c>; adds <c>CanvasCount</c>, <c>PaddedLength</c> and
    /// <c>CutTokens</c>. <see cref="CanvasPackingEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub; its canvas length and end token are used.</param>
    /// <param name="options">Lengths, treatment of rows that are cut, and names of the columns.</param>
    /// <inheritdoc cref="PackCanvas(string, int, int?, TruncatedRows)" path="/exception"/>
    public CanvasPackingEstimator PackCanvas(string checkpoint, CanvasPackingEstimator.Options options)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var packing = PackingOptions.Load(
            HubDownloads.FindCheckpoint(_environment, checkpoint), options.MaxLength, options.PadMultiple, options.Truncated);
        return new CanvasPackingEstimator(_environment, new CanvasPackingTransformer(_environment, packing, options));
    }

    /// <summary>
    /// Fine-tunes a checkpoint. The fitted model answers each row: it adds <c>Response</c>, <c>Reasoning</c>, <c>ToolCalls</c>,
    /// <c>ResponseIds</c>, <c>TokensPerForward</c> and <c>Steps</c>. <see cref="DiffusionGemmaEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub (downloaded). It is never written to.</param>
    /// <param name="options">How to train; copied. A null <see cref="FineTuneOptions.Seed"/> is the MLContext's.</param>
    /// <param name="generation">How the fitted model answers; null: as the checkpoint's generation_config.json says.</param>
    /// <param name="batchSize">Prompts that the fitted model answers at once.</param>
    /// <param name="progress">Receives a record after every step.</param>
    /// <param name="rows">Names of the columns, and where packed rows are kept; null: the usual names, and up to 1 GiB in memory, beyond
    /// that in a temporary file.</param>
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

    /// <summary>
    /// Fine-tunes a checkpoint. The fitted model answers each row: it adds <c>Response</c>, <c>Reasoning</c>, <c>ToolCalls</c>,
    /// <c>ResponseIds</c>, <c>TokensPerForward</c> and <c>Steps</c>. <see cref="DiffusionGemmaEstimator"/>.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub (downloaded). It is never written to.</param>
    /// <param name="options">How to train; copied. A null <see cref="FineTuneOptions.Seed"/> is the MLContext's.</param>
    /// <param name="answers">How the fitted model answers.</param>
    /// <param name="progress">Receives a record after every step.</param>
    /// <param name="rows">Names of the columns, and where packed rows are kept; null: the usual names, and up to 1 GiB in memory, beyond
    /// that in a temporary file.</param>
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
        int hiddenSize = DiffusionGemmaConfig.Load(checkpoint).HiddenSize;
        if (options.Lora?.Rank > hiddenSize)
        {
            throw new ArgumentOutOfRangeException(nameof(options), options.Lora.Rank,
                $"LoraOptions.Rank is beyond the hidden size of the checkpoint, {hiddenSize}: usual ranks are 8 to 64.");
        }
        return new DiffusionGemmaEstimator(_environment, checkpoint, options, answers, rows, progress, cancellation);
    }

    /// <summary>Reads the packed rows of a data view, for <see cref="EvaluationOptions.Examples"/> and <see cref="FineTuner"/>.</summary>
    /// <remarks>Rows that cannot be trained on are left out. The caller disposes the result.</remarks>
    /// <param name="packed">Rows from <c>PackCanvas</c>.</param>
    /// <param name="maxBytesInMemory">Beyond this the rows are kept in a temporary file.</param>
    /// <param name="scratchFolder">Where that file is made; null: the system's folder for temporary files.</param>
    /// <exception cref="TrainingException">No row can be trained on, or they cannot be kept.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public PackedRowStore PackedRows(IDataView packed, long maxBytesInMemory = PackedRowStore.DefaultMaxBytes, string? scratchFolder = null)
    {
        ArgumentNullException.ThrowIfNull(packed);
        return PackedRows(packed, new TrainingRowOptions { MaxRowBytesInMemory = maxBytesInMemory, ScratchFolder = scratchFolder });
    }

    /// <summary>Reads the packed rows of a data view, for <see cref="EvaluationOptions.Examples"/> and <see cref="FineTuner"/>.</summary>
    /// <remarks>Rows that cannot be trained on are left out. The caller disposes the result.</remarks>
    /// <param name="packed">Rows from <c>PackCanvas</c>.</param>
    /// <param name="options">Columns, and where rows are kept.</param>
    /// <exception cref="TrainingException">No row can be trained on, or they cannot be kept.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public PackedRowStore PackedRows(IDataView packed, TrainingRowOptions options)
    {
        ArgumentNullException.ThrowIfNull(packed);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return TrainingRows.Read(packed, _environment.Register(nameof(PackedRows)), options).Examples;
    }

    /// <summary>
    /// Answers each row with a checkpoint as it is, untrained: adds <c>Response</c>, <c>Reasoning</c>, <c>ToolCalls</c>,
    /// <c>ResponseIds</c>, <c>TokensPerForward</c> and <c>Steps</c>. <see cref="DiffusionGemmaAnswerEstimator"/>.
    /// </summary>
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

    /// <summary>
    /// Answers each row with a checkpoint as it is, untrained: adds <c>Response</c>, <c>Reasoning</c>, <c>ToolCalls</c>,
    /// <c>ResponseIds</c>, <c>TokensPerForward</c> and <c>Steps</c>. <see cref="DiffusionGemmaAnswerEstimator"/>.
    /// </summary>
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
    /// <exception cref="ArgumentException">
    /// The data has no such column or no row with an expected answer, or an option does not fit the others.
    /// </exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    public AnswerMetrics Evaluate(IDataView scored, AnswerEvaluationOptions options)
    {
        ArgumentNullException.ThrowIfNull(scored);
        ArgumentNullException.ThrowIfNull(options);
        return Evaluate(scored, options, (scored as BatchedDataView)?.Tokenizer);
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
        DiffusionGemmaTransformer answering = AnsweringPart(model);
        _ = answering.Model;                                        // its seconds are not those of the answers
        return Evaluate(scored, options, answering.Tokenizer);
    }

    private AnswerMetrics Evaluate(IDataView scored, AnswerEvaluationOptions options, DiffusionGemmaTokenizer? tokenizer)
    {
        if (options.Checkpoint is { } checkpoint)
            tokenizer = CheckpointText.Read(HubDownloads.FindCheckpoint(_environment, checkpoint)).Tokenizer.Tokenizer;
        return AnswerEvaluator.Evaluate(_environment, scored, options, tokenizer);
    }

    /// <summary>
    /// Loads a model that <c>mlContext.Model.Save</c> wrote, and its checkpoint's place: a missing checkpoint is an error here.
    /// </summary>
    /// <remarks><c>mlContext.Model.Load</c> loads the same models; there a missing checkpoint is an error of the first use.</remarks>
    /// <param name="path">The file.</param>
    /// <param name="inputSchema">The schema of the data that the model was fitted on.</param>
    /// <param name="verify">Compares every byte of the checkpoint with the digests that the model was saved with or, where it has none of
    /// a weight file, with those beside it (<see cref="DiffusionGemmaModel.Load"/>). False: every byte of small files; of weight files the
    /// length, the header and 1 MiB of samples.</param>
    /// <exception cref="FileNotFoundException">The file is not found, or no folder with the checkpoint; the message says where was looked,
    /// and which file of the folder differs.</exception>
    /// <exception cref="CheckpointException">With <paramref name="verify"/>: a file has other bytes, or there is nothing to compare it
    /// with.</exception>
    /// <exception cref="FormatException">The file is damaged, or a newer version of the library wrote it.</exception>
    public ITransformer Load(string path, out DataViewSchema inputSchema, bool verify = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SavedModelFile.Require(path);
        ITransformer model;
        try
        {
            model = new ModelOperationsCatalog(_environment).Load(path, out inputSchema);
        }
        catch (Exception error)
        {
            // ML.NET calls loaders by reflection.
            Exception cause = error is TargetInvocationException ? error.GetBaseException() : error;
            // The library's own say what to do, ML.NET's do not.
            if (cause is FormatException && cause.Message.StartsWith("The ", StringComparison.Ordinal))
                throw new FormatException($"{path}: {cause.Message}", cause);
            // A type's damaged name leads to an assembly that is not there.
            bool isAssembly = cause is FileLoadException
                || cause is FileNotFoundException { FileName: { } name } && !Path.IsPathRooted(name);
            if (!isAssembly && cause is IOException or UnauthorizedAccessException or OutOfMemoryException)
                ExceptionDispatchInfo.Throw(cause);
            throw new FormatException(
                $"{path} cannot be loaded: it is damaged, or no model of this library ({cause.Message.TrimEnd('.')}). Save the model "
                + "again.", cause);
        }
        foreach (DiffusionGemmaTransformer part in DiffusionGemma.AnsweringPart.Answering(model))
            part.RequireCheckpoint(verify);
        return model;
    }

    /// <inheritdoc cref="Load(string, out DataViewSchema, bool)"/>
    public ITransformer Load(string path) => Load(path, out _);

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
    /// <param name="escapeSpecialTokens">As for <c>TokenizeChat</c>.</param>
    /// <param name="chatTemplate">The file of a chat template of one's own; null: the checkpoint's.</param>
    /// <exception cref="ChatException">The conversation is malformed, or the template refuses it.</exception>
    /// <exception cref="ArgumentException">The length is not positive, or the checkpoint names no end token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public ChatPreview Preview(string checkpoint, string conversation, int maxLength = 1024, bool escapeSpecialTokens = false,
        string? chatTemplate = null) =>
        Preview(checkpoint, conversation,
            new ChatTokenizingEstimator.Options { EscapeSpecialTokens = escapeSpecialTokens, ChatTemplate = chatTemplate },
            new CanvasPackingEstimator.Options { MaxLength = maxLength });

    /// <summary>
    /// Shows one conversation as training would see it: ids, pieces, supervised part, canvases, and the part that is cut off.
    /// </summary>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub.</param>
    /// <param name="conversation">A row of the Messages column: the messages array as JSON, or an object with <c>messages</c>.</param>
    /// <param name="tokenizing">As for <c>TokenizeChat</c>; names of columns are not used.</param>
    /// <param name="packing">As for <c>PackCanvas</c>; names of columns are not used.</param>
    /// <inheritdoc cref="Preview(string, string, int, bool, string?)" path="/exception"/>
    public ChatPreview Preview(
        string checkpoint, string conversation, ChatTokenizingEstimator.Options tokenizing, CanvasPackingEstimator.Options packing)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        ArgumentNullException.ThrowIfNull(conversation);
        ArgumentNullException.ThrowIfNull(tokenizing);
        ArgumentNullException.ThrowIfNull(packing);
        tokenizing.Validate();
        packing.Validate();
        checkpoint = HubDownloads.FindCheckpoint(_environment, checkpoint);
        ChatTokenizer tokenizer = CheckpointText.Read(checkpoint, tokenizing.ChatTemplate).MakeTokenizer(tokenizing.Tokenizing);
        return ChatPreview.Create(EncodedRow.Encode(conversation, tokenizer), tokenizer.Tokenizer, Packing(checkpoint, packing));
    }

    /// <summary>Computes statistics of a data set as training would see it: lengths, canvases, rows that are cut or left out.</summary>
    /// <remarks>Reads all rows once; the model is not needed.</remarks>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub.</param>
    /// <param name="data">Conversations.</param>
    /// <param name="maxLength">Tokens a row at most.</param>
    /// <param name="inputColumn">Text: the conversation as JSON.</param>
    /// <param name="escapeSpecialTokens">As for <c>TokenizeChat</c>.</param>
    /// <param name="chatTemplate">The file of a chat template of one's own; null: the checkpoint's.</param>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    /// <exception cref="ArgumentException">The data has no such column, the length is not positive, or the checkpoint names no end
    /// token.</exception>
    /// <exception cref="IOException">The folder has no config.json or tokenizer.json that can be read.</exception>
    public ChatDataSummary Summarize(string checkpoint, IDataView data, int maxLength = 1024, string inputColumn = ChatColumns.Messages,
        bool escapeSpecialTokens = false, string? chatTemplate = null) =>
        Summarize(checkpoint, data,
            new ChatTokenizingEstimator.Options
            {
                InputColumnName = inputColumn, EscapeSpecialTokens = escapeSpecialTokens, ChatTemplate = chatTemplate,
            },
            new CanvasPackingEstimator.Options { MaxLength = maxLength });

    /// <summary>Computes statistics of a data set as training would see it: lengths, canvases, rows that are cut or left out.</summary>
    /// <remarks>Reads all rows once; the model is not needed.</remarks>
    /// <param name="checkpoint">The checkpoint's folder, or its id on the Hub.</param>
    /// <param name="data">Conversations.</param>
    /// <param name="tokenizing">As for <c>TokenizeChat</c>; of the columns the input's is used.</param>
    /// <param name="packing">As for <c>PackCanvas</c>; names of columns are not used.</param>
    /// <inheritdoc cref="Summarize(string, IDataView, int, string, bool, string?)" path="/exception"/>
    public ChatDataSummary Summarize(
        string checkpoint, IDataView data, ChatTokenizingEstimator.Options tokenizing, CanvasPackingEstimator.Options packing)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(tokenizing);
        ArgumentNullException.ThrowIfNull(packing);
        packing.Validate();
        checkpoint = HubDownloads.FindCheckpoint(_environment, checkpoint);
        IDataView masked = TokenizeChat(checkpoint, tokenizing).Append(MaskResponse(inputColumnName: tokenizing.MaskColumnName))
            .Fit(data).Transform(data);
        return ChatDataSummary.Create(masked, tokenizing, Packing(checkpoint, packing));
    }

    private static PackingOptions Packing(string checkpoint, CanvasPackingEstimator.Options options) =>
        PackingOptions.Load(checkpoint, options.MaxLength, options.PadMultiple, options.Truncated);
}
