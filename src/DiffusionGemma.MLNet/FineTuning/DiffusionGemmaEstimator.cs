using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>
/// Fine-tunes a DiffusionGemma checkpoint on packed conversations, with a low-rank adapter or in full.
/// <list type="table">
/// <item><term>Reads</term>
/// <description><c>InputIds</c>, <c>LossMask</c>, <c>PromptLength</c>, <c>CanvasCount</c>, <c>PaddedLength</c> and <c>CutTokens</c>, in one
/// pass over the data</description></item>
/// <item><term>Gives</term>
/// <description>a <see cref="DiffusionGemmaTransformer"/>, which adds <c>Response</c>, <c>ResponseIds</c>, <c>TokensPerForward</c> and
/// <c>Steps</c></description></item>
/// <item><term>Rows without an answer</term><description>left out and counted; none left is an error</description></item>
/// <item><term>Reports</term>
/// <description>one line a step to <c>MLContext.Log</c>, and records to an <see cref="IProgress{T}"/></description></item>
/// <item><term>Same data, options and seed</term><description>same losses</description></item>
/// <item><term>Stopped and called again</term>
/// <description>goes on where it was, with <see cref="FineTuneOptions.Checkpoints"/> and <c>Resume</c></description></item>
/// </list>
/// </summary>
public sealed class DiffusionGemmaEstimator : IEstimator<DiffusionGemmaTransformer>
{
    private readonly IHost _host;
    private readonly string _checkpoint;
    private readonly FineTuneOptions _options;
    private readonly AnswerOptions _answers;
    private readonly TrainingRowOptions _rows;
    private readonly CheckpointText _text;
    private readonly IProgress<StepRecord>? _progress;
    private readonly CancellationToken _cancellation;

    internal DiffusionGemmaEstimator(IHostEnvironment environment, string checkpoint, FineTuneOptions options, AnswerOptions answers,
        TrainingRowOptions rows, IProgress<StepRecord>? progress, CancellationToken cancellation)
    {
        _host = environment.Register(nameof(DiffusionGemmaEstimator));
        _checkpoint = checkpoint;
        _options = options with { Seed = options.Seed ?? (environment as IHostEnvironmentInternal)?.Seed };
        _rows = rows;
        _progress = progress;
        _cancellation = cancellation;
        FineTuner.Validate(checkpoint, _options);
        rows.Validate();
        _text = CheckpointText.Read(checkpoint, answers.ChatTemplate);
        (string ids, string length) = (rows.InputIdsColumnName, rows.PromptLengthColumnName);
        _answers = answers.With(_text) with { InputIdsColumnName = ids, PromptLengthColumnName = length };
        _answers.Validate(checkpoint);
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        foreach (TypedColumn column in _rows.Columns)
            column.CheckIn(inputSchema, _host);
        return TypedColumn.Add(inputSchema, AnswerColumns.Outputs(_answers));
    }

    /// <summary>Trains.</summary>
    /// <param name="input">Packed rows.</param>
    /// <returns>The trained model. It holds the weights: dispose it when it is no longer needed.</returns>
    /// <exception cref="TrainingException">No row can be trained on, the rows do not fill a batch or cannot be kept, a loss is no longer a
    /// finite number, or a checkpoint of the run cannot be resumed.</exception>
    /// <exception cref="MemoryBudgetException">The run needs more than <see cref="RunOptions.MemoryBudget"/>; nothing was
    /// loaded.</exception>
    /// <exception cref="ChatDataException">A row cannot be read.</exception>
    /// <exception cref="CheckpointException">The checkpoint cannot be read, or the output folder cannot be written.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, after a checkpoint was written where
    /// <see cref="FineTuneOptions.Checkpoints"/> is set.</exception>
    public DiffusionGemmaTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using IChannel log = _host.Start("Fit");
        _cancellation.ThrowIfCancellationRequested();
        using TrainingRows rows = TrainingRows.Read(input, _host, _rows);
        LogRows(log, rows.Counts);
        int steps = FineTuner.StepCount(rows.Examples.Count, _options);
        FineTuneResult result = FineTuner.Fit(
            _checkpoint, rows.Examples, WithLog(log), new StepLog(log, _host, steps, _progress), _cancellation);
        try
        {
            if (result.Adapter is not null) LogAdapter(log, result.Adapter);
            return Wrap(result, rows.Counts, input.Schema);
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>The options, with notices and evaluations logged too, and with the context's devices where none are named.</summary>
    private FineTuneOptions WithLog(IChannel log)
    {
        var notices = new ForwardingProgress<string>(notice => log.Warning(MessageSensitivity.None, notice), _options.Run.Notices);
        FineTuneOptions options = _options with
        {
            Run = _options.Run with { Notices = notices },
            Devices = DeviceChoice.Choose(_host, _options.Devices, $"{nameof(FineTuneOptions)}.{nameof(FineTuneOptions.Devices)}"),
        };
        if (_options.Evaluation is not { } evaluation) return options;
        var evaluations = new ForwardingProgress<EvaluationRecord>(record => LogEvaluation(log, record), evaluation.Progress);
        Func<EvaluationAnswer, EvaluationAnswer> read = evaluation.ReadAnswer ?? new EvaluationAnswerReader(_text.Tokenizer.Tokenizer).Read;
        return options with { Evaluation = evaluation with { Progress = evaluations, ReadAnswer = read } };
    }

    /// <summary>The trained model as a transformer; a model that is still loaded answers as it is.</summary>
    private DiffusionGemmaTransformer Wrap(FineTuneResult result, RowCounts rows, DataViewSchema schema)
    {
        string folder = Path.GetFullPath(result.Adapter is null ? _options.OutputFolder! : _checkpoint);
        var reference = CheckpointReference.Create(folder);
        FileBundle? adapter = result.Adapter is null ? null : TrainedWeights.SaveToMemory(result.Adapter, reference);
        Quantization quantization = _options.Quantization != Quantization.None ? _options.Quantization : _answers.Quantization;
        var weights = new TrainedWeights(reference, adapter, _options.Run.Precision, quantization);
        LoadedModel? loaded = null;
        if (result.Model is { } model && quantization == model.Quantization) loaded = new LoadedModel(model, result.Adapter);
        else result.Dispose();
        CheckpointText text = _answers.ChatTemplate is null ? CheckpointText.ForRows(_checkpoint, _text, schema) : _text;
        return new DiffusionGemmaTransformer(
            _host, weights, folder, text, _answers with { Quantization = quantization }, result.Device, loaded, Summary(result, rows));
    }

    private static FineTuneSummary Summary(FineTuneResult result, RowCounts rows) => new()
    {
        Rows = rows.All,
        TrainedRows = rows.Trained,
        UnansweredRows = rows.Unanswered,
        DroppedRows = rows.Dropped,
        EmptyAnswerRows = rows.Notes.EmptyAnswers,
        IgnoredKeys = rows.Notes.IgnoredKeys,
        SpecialTokenRows = rows.Notes.SpecialTokens,
        UnlearnedEndRows = rows.Notes.UnlearnedEnds,
        TemplateNotices = rows.Notes.TemplateNotices,
        LostRows = rows.Lost,
        CutRows = rows.Cut,
        TrainedTensors = result.TrainedTensors,
        TrainedParameterCount = result.TrainedParameterCount,
        History = result.History,
        Evaluations = result.Evaluations,
        Notices = result.Notices,
        End = result.End,
    };

    private static void LogRows(IChannel log, RowCounts rows)
    {
        Info(log, $"{rows.Trained} of {Counted.Rows(rows.All)} to train on");
        foreach (string warning in rows.Warnings())
            log.Warning(warning);
    }

    private static void LogAdapter(IChannel log, LoraAdapter adapter)
    {
        IEnumerable<string> kinds = adapter.Modules.GroupBy(module => module[(module.LastIndexOf('.') + 1)..])
            .Select(kind => $"{kind.Key} x {kind.Count()}");
        string modules = $"{adapter.Modules.Count} modules ({string.Join(", ", kinds)})";
        Info(log, $"LoRA of rank {adapter.Rank} on {modules}: {adapter.ParameterCount:N0} parameters train");
    }

    private static void LogEvaluation(IChannel log, EvaluationRecord record)
    {
        string answers = record.Answers.Count == 0 ? ""
            : $", {record.Answers.Count(answer => answer.IsMatch == true)} of {record.Answers.Count} answers right";
        string steps = Counted.Of(record.Step, "step", "steps");
        Info(log, $"after {steps}  held-out loss {record.DiffusionLoss:F4} (encoder {record.EncoderLoss:F4}){answers}");
    }

    internal static void Info(IChannel log, FormattableString message) =>
        log.Info(MessageSensitivity.None, message.ToString(CultureInfo.InvariantCulture));
}
