using DiffusionGemma;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(typeof(DiffusionGemmaTransformer), null, typeof(SignatureLoadModel), "DiffusionGemma",
    DiffusionGemmaTransformer.LoaderSignature)]

namespace DiffusionGemma;

/// <summary>
/// Answers the prompt of every row with a DiffusionGemma model, fine-tuned or as its checkpoint is: <c>InputIds</c> up to
/// <c>PromptLength</c> are read, and <c>Response</c> (text), <c>ResponseIds</c> (vector of int), <c>TokensPerForward</c> (single) and
/// <c>Steps</c> (int) are added, with <see cref="RowFailure.EmptyAnswer"/> also <c>ResponseError</c> (text).
/// <list type="table">
/// <item><term>Rows</term>
/// <description>in their order; <see cref="BatchSize"/> are denoised together, and a finished one's place is taken by a waiting one, among
/// those that <see cref="AnswerOptions.BatchesAhead"/> reads ahead</description></item>
/// <item><term>Other columns</term>
/// <description>are passed through; where no column of the answer is read the model does not run</description></item>
/// <item><term>A row's answer</term>
/// <description>depends on its prompt and <see cref="GenerationOptions.Seed"/>; on the rows beside it no more than by float32's
/// rounding</description></item>
/// <item><term>A row that cannot be answered</term>
/// <description>ends the pass with an error that names it, or has an empty answer and its reason
/// (<see cref="AnswerOptions.OnFailure"/>)</description></item>
/// <item><term>Cancellation</term>
/// <description>of the <c>MLContext</c>, or by <see cref="AnswerOptions.Cancellation"/>: seen before every pass of the
/// decoder</description></item>
/// <item><term>Threads</term><description>any number may use the model; they take turns</description></item>
/// <item><term>Saved</term>
/// <description>the adapter, the files of text and the options, a grammar among them; the checkpoint's weights stay in their
/// folder</description></item>
/// </list>
/// </summary>
/// <remarks>
/// Rows are answered while they are read, and every pass over the data answers them anew: <c>mlContext.Data.Cache</c> keeps the columns it
/// is given. One row at a time is answered through <c>CreatePredictionEngine</c>; disposing the engine disposes this model too, unless
/// <c>PredictionEngineOptions.OwnsTransformer</c> is false.
/// <para>
/// Saved with <c>mlContext.Model.Save</c>: the adapter, the files of text, and the checkpoint's name, fingerprint and digests; its weights
/// stay where they are (<see cref="DiffusionGemmaCheckpoints"/> says how they are found). Weights are read when the first row is answered.
/// </para>
/// </remarks>
public sealed partial class DiffusionGemmaTransformer : ITransformer, IDisposable
{
    internal const string LoaderSignature = "DiffusionGemma";

    private const ushort FailureSince = 2, ColumnsSince = 3;

    private readonly IHost _host;
    private readonly TrainedWeights _weights;
    private readonly CheckpointText _text;
    private readonly torch.Device? _device;
    private readonly Lock _modelInUse = new();
    private string? _folder;
    private LoadedModel? _loaded;
    private bool _disposed;

    /// <param name="environment">The environment.</param>
    /// <param name="weights">How the weights are saved and found.</param>
    /// <param name="folder">The weights' folder on this machine; null: it was not found, and is looked for again at the first use.</param>
    /// <param name="text">The checkpoint's files of text.</param>
    /// <param name="options">How to answer.</param>
    /// <param name="device">Where the weights go when they are read; null: where loaded models go.</param>
    /// <param name="loaded">The model just trained, which becomes this transformer's own; null: read the weights when they are
    /// needed.</param>
    /// <param name="summary">What training did.</param>
    internal DiffusionGemmaTransformer(IHostEnvironment environment, TrainedWeights weights, string? folder, CheckpointText text,
        AnswerOptions options, torch.Device? device = null, LoadedModel? loaded = null, FineTuneSummary? summary = null)
    {
        _host = environment.Register(nameof(DiffusionGemmaTransformer));
        _weights = weights;
        _folder = folder;
        _text = text;
        _device = device;
        _loaded = loaded;
        Options = options.With(text);
        Summary = summary;
    }

    /// <summary>A model that answers with a checkpoint as it is.</summary>
    internal static DiffusionGemmaTransformer Untrained(
        IHostEnvironment environment, string checkpoint, CheckpointText text, AnswerOptions options)
    {
        string folder = Path.GetFullPath(checkpoint);
        var weights = new TrainedWeights(CheckpointReference.Create(folder), Adapter: null, Precision: null, options.Quantization);
        return new DiffusionGemmaTransformer(environment, weights, folder, text, options);
    }

    /// <summary>Settings for answering rows.</summary>
    public AnswerOptions Options { get; }

    /// <summary>Denoising settings.</summary>
    public GenerationOptions Generation => Options.Generation;

    /// <summary>Prompts that are denoised together.</summary>
    public int BatchSize => Options.BatchSize;

    /// <summary>The checkpoint of the weights: the base of the adapter, or the folder that full fine-tuning wrote.</summary>
    public CheckpointReference Checkpoint => _weights.Checkpoint;

    /// <summary>Row counts and history of the training; null in a loaded model.</summary>
    public FineTuneSummary? Summary { get; }

    /// <summary>The model; its weights are loaded at the first use.</summary>
    /// <remarks>This transformer owns it, and scoring on other threads uses it.</remarks>
    public DiffusionGemmaModel Model
    {
        get
        {
            lock (_modelInUse)
                return Loaded().Model;
        }
    }

    /// <summary>The trained adapter; null after full fine-tuning.</summary>
    public LoraAdapter? Adapter
    {
        get
        {
            lock (_modelInUse)
                return Loaded().Adapter;
        }
    }

    /// <summary>True where the weights are in memory.</summary>
    internal bool IsLoaded => _loaded is not null;

    private static VersionInfo Version => ModelVersion.Create("DGM MODL", TrainedWeights.FilesSince, LoaderSignature);

    /// <summary>The checkpoint's tokenizer and chat template.</summary>
    internal CheckpointText Text => _text;

    /// <summary>The chat template and tokenizer that conversations are written with, as the model was trained or saved.</summary>
    public ChatTokenizer ChatTokenizer => _text.Tokenizer;

    /// <summary>The tokenizer of the checkpoint.</summary>
    internal DiffusionGemmaTokenizer Tokenizer => _text.Tokenizer.Tokenizer;

    /// <exception cref="FileNotFoundException">The checkpoint is not found; the message says where it was looked for.</exception>
    internal string Folder => _folder ??= DiffusionGemmaCheckpoints.Find(_weights.Checkpoint, _host);

    bool ITransformer.IsRowToRowMapper => true;

    /// <inheritdoc/>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        var answerer = new PromptAnswerer(this, Options, _host);
        answerer.FindInputs(inputSchema);
        return AnswerColumns.AddTo(inputSchema, answerer);
    }

    /// <inheritdoc/>
    public IDataView Transform(IDataView input) => Transform(input, Options);

    /// <summary>Answers rows otherwise than the model was made to: as for <see cref="Transform(IDataView)"/>, with other options.</summary>
    /// <param name="input">Rows with <c>InputIds</c> and <c>PromptLength</c>.</param>
    /// <param name="options">In place of <see cref="Options"/>, all of them.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the input has not the columns.</exception>
    public IDataView Transform(IDataView input, AnswerOptions options)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(options);
        options = options.With(_text);
        options.Validate(Folder);
        return new BatchedDataView(_host, input, new PromptAnswerer(this, options, _host));
    }

    /// <summary>Losses on rows that were not trained on, at fixed noise levels (<see cref="FineTuner.Evaluate"/>).</summary>
    /// <param name="input">Packed rows, as for fine-tuning; rows that cannot be trained on are left out.</param>
    /// <param name="seed">The seed of the corruption.</param>
    /// <param name="rows">Names of the columns, and where rows are kept; null: the usual ones.</param>
    /// <exception cref="TrainingException">No row can be trained on.</exception>
    public EvaluationRecord EvaluateLoss(IDataView input, int seed = 42, TrainingRowOptions? rows = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        using TrainingRows packed = TrainingRows.Read(input, _host, rows);
        lock (_modelInUse)
            return FineTuner.Evaluate(Loaded().Model, packed.Examples, seed);
    }

    /// <summary>Writes the trained adapter as a folder that PEFT and <see cref="LoraAdapter.Load"/> read.</summary>
    /// <param name="folder">Created where absent.</param>
    /// <param name="baseModelNameOrPath">What PEFT is to load the base from; null: the checkpoint's path, or its id and
    /// commit on the Hub.</param>
    /// <exception cref="InvalidOperationException">The model has no adapter: its weights are a checkpoint folder already.</exception>
    /// <exception cref="AdapterException">The folder cannot be written.</exception>
    public void SaveAdapter(string folder, string? baseModelNameOrPath = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (_weights.Adapter is null)
            throw new InvalidOperationException($"The model has no adapter; its weights are the checkpoint {_weights.Checkpoint.Path}.");
        lock (_modelInUse)
        {
            if (baseModelNameOrPath is null) _weights.Checkpoint.SaveAdapter(Loaded().Adapter!, folder);
            else Loaded().Adapter!.Save(folder, baseModelNameOrPath);
        }
    }

    /// <summary>
    /// Writes a Hugging Face folder with the adapter in its weights: a model that needs no adapter
    /// (<see cref="LoraAdapter.SaveMerged(DiffusionGemmaModel, string, long?)"/>).
    /// </summary>
    /// <param name="folder">Created where absent; not the checkpoint's own.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the checkpoint has them.</param>
    /// <exception cref="InvalidOperationException">The model has no adapter: its weights are a checkpoint folder already.</exception>
    /// <exception cref="CheckpointException">The folder cannot be written.</exception>
    public void SaveMerged(string folder, long? maxShardBytes = null) =>
        SaveMerged(folder, (adapter, model) => adapter.SaveMerged(model, folder, maxShardBytes));

    /// <summary>
    /// Writes a Hugging Face folder with the adapter in the weights of another folder: those that the checkpoint's own were quantised from.
    /// </summary>
    /// <param name="folder">Created where absent; not the original's.</param>
    /// <param name="original">An unquantised folder of the same model.</param>
    /// <param name="maxShardBytes">Largest size of one file; null: one file or shards, as the original has them.</param>
    /// <exception cref="InvalidOperationException">The model has no adapter: its weights are a checkpoint folder already.</exception>
    /// <exception cref="ArgumentException">The original is another model, or quantised itself, or its norms are not the model's: the
    /// quantised weights were made of others.</exception>
    /// <exception cref="CheckpointException">The original cannot be read, or the folder cannot be written.</exception>
    public void SaveMerged(string folder, string original, long? maxShardBytes = null) =>
        SaveMerged(folder, (adapter, model) => adapter.SaveMerged(model, folder, original, maxShardBytes));

    private void SaveMerged(string folder, Action<LoraAdapter, DiffusionGemmaModel> save)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (_weights.Adapter is null)
            throw new InvalidOperationException($"The model has no adapter; its weights are the checkpoint {_weights.Checkpoint.Path}.");
        lock (_modelInUse)
        {
            LoadedModel loaded = Loaded();
            save(loaded.Adapter!, loaded.Model);
        }
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        lock (_modelInUse)
        {
            _disposed = true;
            _loaded?.Dispose();
            _loaded = null;
        }
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) =>
        new AnswerRowMapper(inputSchema, new PromptAnswerer(this, Options, _host));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        ctx.Writer.Write(BatchSize);
        ctx.SaveNonEmptyString(SavedAnswerOptions.SerializeGeneration(Generation));
        ctx.Writer.Write(Options.BatchesAhead);
        ctx.Writer.Write((int)Options.OnFailure);
        ctx.SaveNonEmptyString(Options.InputIdsColumnName);
        ctx.SaveNonEmptyString(Options.PromptLengthColumnName);
        _weights.Save(ctx);
        _text.Save(ctx);
    }

    private static DiffusionGemmaTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ModelVersion.Check(ctx, env, Version);
        int batchSize = ctx.Reader.ReadInt32();
        var options = new AnswerOptions
        {
            BatchSize = batchSize,
            Generation = SavedAnswerOptions.DeserializeGeneration(ctx.LoadNonEmptyString()),
        };
        if (ModelVersion.IsSince(ctx, FailureSince))
            options = options with { BatchesAhead = ctx.Reader.ReadInt32(), OnFailure = (RowFailure)ctx.Reader.ReadInt32() };
        if (ModelVersion.IsSince(ctx, ColumnsSince))
            options = options with { InputIdsColumnName = ctx.LoadNonEmptyString(), PromptLengthColumnName = ctx.LoadNonEmptyString() };
        TrainedWeights weights = TrainedWeights.Load(ctx);
        options = options with { Quantization = weights.Quantization };
        CheckpointText text = CheckpointText.Load(ctx);
        return new DiffusionGemmaTransformer(env, weights, TryFind(env, weights.Checkpoint), text, options);
    }

    /// <summary>Looks for the checkpoint of a loaded model; a missing one is logged here and thrown at the first use.</summary>
    private static string? TryFind(IHostEnvironment env, CheckpointReference checkpoint)
    {
        try
        {
            return DiffusionGemmaCheckpoints.Find(checkpoint, env);
        }
        catch (Exception missing) when (missing is FileNotFoundException or HubException)
        {
            LoadFault.Report(env, missing);
            return null;
        }
    }

    /// <summary>Looks for the checkpoint now.</summary>
    /// <param name="verify">True: every byte of its files is compared with digests.</param>
    /// <exception cref="FileNotFoundException">It is not found; the message says where it was looked for.</exception>
    /// <exception cref="CheckpointException">A file has other bytes, or there is nothing to compare it with.</exception>
    internal void RequireCheckpoint(bool verify)
    {
        string folder = Folder;
        if (verify) CheckpointFiles.Verify(folder, Checkpoint.Files);
    }

    /// <summary>Answers rows, a batch at a time; one that cannot be answered has its fault in place of an answer.</summary>
    internal IReadOnlyList<Answer> Answer(IReadOnlyList<Question> questions, AnswerOptions options) =>
        Run(questions, (model, prompts, callbacks) => Wrap(prompts, CanvasGenerator.Generate(
            model, [.. prompts.Select(prompt => new GenerationRequest(prompt))], options.Generation with { ReturnOnCancellation = false },
            options.BatchSize, callbacks, options.Cancellation)));

    /// <summary>Scores the labels of the options' grammar; the answers have their scores alone.</summary>
    /// <param name="questions">The rows.</param>
    /// <param name="options">How they are answered.</param>
    /// <param name="canvases">Random canvases of each row.</param>
    internal IReadOnlyList<Answer> ScoreLabels(IReadOnlyList<Question> questions, AnswerOptions options, int canvases) =>
        Run(questions, (model, prompts, callbacks) =>
        [
            .. LabelScorer.Score(
                    model, prompts, options.Generation, canvases, options.BatchSize, callbacks, options.Cancellation)
                .Select(scores => scores is null ? null : new Answer(ParsedAnswer.FromParts([]), [], 0, canvases) { LabelScores = scores }),
        ]);

    private Answer?[] Wrap(int[][] prompts, IReadOnlyList<GenerationResult?> results) =>
    [
        .. results.Zip(prompts, (result, prompt) => result is null ? null
            : new Answer(Parse(prompt, result.Ids), result.Ids, (float)result.TokensPerForward, result.Steps)
            {
                LabelScores = result.LabelScores,
            }),
    ];

    /// <summary>Runs the model on the rows that have no fault yet, with the faults that it finds in place of answers.</summary>
    private IReadOnlyList<Answer> Run(
        IReadOnlyList<Question> questions, Func<DiffusionGemmaModel, int[][], GenerationCallbacks, Answer?[]> run)
    {
        Answer?[] answers = [.. questions.Select(question => question.Fault is { } fault ? DiffusionGemma.Answer.Failed(fault) : null)];
        int[] asked = [.. Enumerable.Range(0, questions.Count).Where(row => answers[row] is null)];
        if (asked.Length == 0) return answers!;
        Answer?[] results;
        void Fail(int index, Exception error) =>
            answers[asked[index]] = DiffusionGemma.Answer.Failed(
                new ChatDataException(Reason(error), questions[asked[index]].Position, error));
        lock (_modelInUse)
            results = run(Loaded().Model, [.. asked.Select(row => questions[row].Prompt)],
                new GenerationCallbacks { Failed = Fail, BeforePass = _host.CheckAlive });
        for (int i = 0; i < asked.Length; i++) answers[asked[i]] ??= results[i];
        return answers!;

        // The engine's messages number the rows of its call; the position names the row here.
        static string Reason(Exception error) => error switch
        {
            GenerationRequestException request => $"the prompt {request.Reason}",
            NotFiniteLogitException logit => logit.Reason,
            _ => error.Message,
        };
    }

    private ParsedAnswer Parse(int[] prompt, int[] answer) => ParsedAnswer.Parse(_text.Tokenizer.Tokenizer, prompt, answer);

    private string Decode(int[] ids) => _text.Tokenizer.Tokenizer.Decode(ids, skipSpecialTokens: true);

    private LoadedModel Loaded()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_loaded is not null) return _loaded;
        _loaded = _weights.Load(Folder, _device ?? DeviceChoice.OfLoadedModel(_host));
        using IChannel log = _host.Start("Load");
        foreach (string notice in _loaded.Model.Notices) log.Warning(MessageSensitivity.None, notice);
        return _loaded;
    }
}
