using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using TorchSharp;

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
        _answers = answers with { InputIdsColumnName = rows.InputIdsColumnName, PromptLengthColumnName = rows.PromptLengthColumnName };
        _rows = rows;
        _progress = progress;
        _cancellation = cancellation;
        _options.Validate();
        CheckOutputFolder(checkpoint, options);
        answers.Validate(checkpoint);
        rows.Validate();
        _text = CheckpointText.Read(checkpoint);
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
        if (_options.Lora is null)
            CheckWritable(_options.OutputFolder!);

        DiffusionGemmaConfig config = DiffusionGemmaConfig.Load(_checkpoint);
        var layout = RankLayout.Of(_options, config);
        torch.Device device = layout.Devices[0];
        torch.ScalarType precision = _options.Run.Precision ?? TrainedWeights.DefaultPrecision(device);
        _ = FineTuner.WithinMemory(config, _options, precision, rows.LongestRow, layout);
        FineTuneOptions options = _options with
        {
            Run = _options.Run with
            {
                Notices =
                new Told<string>(notice => log.Warning(MessageSensitivity.None, notice), _options.Run.Notices)
            },
            Evaluation = _options.Evaluation is { } evaluation
                ? evaluation with { Progress = new Told<EvaluationRecord>(record => LogEvaluation(log, record), evaluation.Progress) }
                : null,
        };
        if (layout.World == 1) return FitOne(log, rows, options, device, precision);
        using FineTuneResult result =
            FineTuner.Fit(_checkpoint, rows.Examples, options with { Run = options.Run with { Precision = precision } },
            new StepLog(log, _host, _progress), _cancellation);
        if (result.Adapter is not null) LogAdapter(log, result.Adapter);
        return new DiffusionGemmaTransformer(_host, Keep(result.Adapter, out string folder), folder, _text, _answers, device, loaded: null,
            Summary(rows, result));
    }

    /// <summary>On one device the model that was trained is the one that answers.</summary>
    private DiffusionGemmaTransformer FitOne(IChannel log, TrainingRows rows, FineTuneOptions options, torch.Device device,
        torch.ScalarType precision)
    {
        DiffusionGemmaModel model = DiffusionGemmaModel.Load(_checkpoint, device, precision);
        var loaded = new LoadedModel(model, Adapter: null);
        try
        {
            if (_options.Lora is { } lora)
            {
                loaded = loaded with { Adapter = LoraAdapter.Create(model, lora, _options.Seed ?? FineTuneOptions.DefaultSeed) };
                model.Adapter = loaded.Adapter;
                LogAdapter(log, loaded.Adapter!);
            }
            FineTuneResult result = FineTuner.Fit(model, rows.Examples, options, new StepLog(log, _host, _progress), _cancellation);
            if (loaded.Adapter is null) model.Save(Path.GetFullPath(_options.OutputFolder!));
            TrainedWeights weights = Keep(loaded.Adapter, out string folder);
            LoadedModel? ready = loaded;
            if (loaded.Adapter is null && model.DType != model.Config.DType)
            {
                // The folder's weights are rounded to the checkpoint's dtype. What answers now must answer as what will be loaded.
                loaded.Dispose();
                ready = null;
            }
            return new DiffusionGemmaTransformer(_host, weights, folder, _text, _answers, device, ready, Summary(rows, result));
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    private static FineTuneSummary Summary(TrainingRows rows, FineTuneResult result) => new()
    {
        Rows = rows.Counts.All,
        TrainedRows = rows.Counts.Trained,
        UnansweredRows = rows.Counts.Unanswered,
        DroppedRows = rows.Counts.Dropped,
        EmptyAnswerRows = rows.Counts.Notes.EmptyAnswers,
        IgnoredKeys = rows.Counts.Notes.IgnoredKeys,
        SpecialTokenRows = rows.Counts.Notes.SpecialTokens,
        UnlearnedEndRows = rows.Counts.Notes.UnlearnedEnds,
        LostRows = rows.Counts.Lost,
        CutRows = rows.Counts.Cut,
        TrainedTensors = result.TrainedTensors,
        TrainedParameterCount = result.TrainedParameterCount,
        History = result.History,
        Evaluations = result.Evaluations,
        Notices = result.Notices,
        End = result.End,
    };

    /// <summary>Where a saved model will find the trained weights: an adapter in memory, a whole model in its folder.</summary>
    private TrainedWeights Keep(LoraAdapter? trained, out string folder)
    {
        folder = Path.GetFullPath(trained is null ? _options.OutputFolder! : _checkpoint);
        var checkpoint = CheckpointReference.Create(folder);
        FileBundle? adapter = trained is null ? null : TrainedWeights.SaveToMemory(trained, checkpoint);
        return new TrainedWeights(checkpoint, adapter, _options.Run.Precision);
    }

    private static void CheckOutputFolder(string checkpoint, FineTuneOptions options)
    {
        if (options.Lora is not null)
            return;
        if (string.IsNullOrEmpty(options.OutputFolder))
            throw new ArgumentException("Full fine-tuning needs FineTuneOptions.OutputFolder: the trained checkpoint goes there, as it "
                + "is too large for a saved model. Or set FineTuneOptions.Lora.", nameof(options));
        if (FullPath(options.OutputFolder) == FullPath(checkpoint))
            throw new ArgumentException($"FineTuneOptions.OutputFolder is the checkpoint itself ({checkpoint}), which would be lost: "
                + "name another folder.", nameof(options));

        static string FullPath(string folder) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
    }

    /// <summary>Found out before the training, not after it.</summary>
    private static void CheckWritable(string folder)
    {
        string probe = Path.Combine(folder, $".write-{Guid.NewGuid():N}");
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"FineTuneOptions.OutputFolder {folder} cannot be written to ({error.Message}): name another folder.",
                error);
        }
    }

    private static void LogRows(IChannel log, RowCounts rows)
    {
        Info(log, $"{rows.Trained} of {rows.All} rows to train on");
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

    private static void LogEvaluation(IChannel log, EvaluationRecord record) =>
        Info(log, $"after {record.Step} steps  held-out loss {record.DiffusionLoss:F4} (encoder {record.EncoderLoss:F4})");

    internal static void Info(IChannel log, FormattableString message) =>
        log.Info(MessageSensitivity.None, message.ToString(CultureInfo.InvariantCulture));

    /// <summary>Acts at once, then tells another.</summary>
    private sealed class Told<T>(Action<T> act, IProgress<T>? next) : IProgress<T>
    {
        public void Report(T value)
        {
            act(value);
            next?.Report(value);
        }
    }

    /// <summary>One line a step. Called where the training runs, so that a cancelled MLContext ends it.</summary>
    private sealed class StepLog(IChannel log, IHost host, IProgress<StepRecord>? next) : IProgress<StepRecord>
    {
        public void Report(StepRecord step)
        {
            FormattableString losses = $"loss {step.Loss:F4} (diffusion {step.DiffusionLoss:F4}, encoder {step.EncoderLoss:F4})";
            FormattableString speed = $"{step.Seconds:F2} s  {step.TokensPerSecond:F0} tok/s";
            Info(log, $"step {step.Step}  {losses}  norm {step.GradientNorm:F3}  lr {step.LearningRate:E2}  {speed}");
            next?.Report(step);
            host.CheckAlive();
        }
    }
}
