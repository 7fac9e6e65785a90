using System.Diagnostics;

namespace DiffusionGemma;

/// <summary>
/// Writes the curves, tables and event files of a run into a folder while the run goes on: curves.png, curves.svg, history.csv,
/// history.parquet, evaluations.csv, evaluations.parquet and answers.jsonl (where there are any), options.json, and tensorboard/.
/// </summary>
/// <remarks>
/// history.csv is also written between the drawings, at most once a second, for those who watch the run.
/// A run that resumes is reported from its first step. A file that cannot be written ends no run: it is tried again, and reported to
/// <see cref="RunReportOptions.Notices"/>.
/// </remarks>
/// <example>
/// <code>
/// using var report = new RunReport("report");
/// FineTuneOptions options = report.Attach(new FineTuneOptions { MaxSteps = 200 });
/// using FineTuneResult result = FineTuner.Fit(checkpoint, rows, options, progress: report);
/// </code>
/// </example>
public sealed class RunReport : IProgress<StepRecord>, IProgress<EvaluationRecord>, IDisposable
{
    private readonly RunReportOptions _options;
    private bool _isTold, _isDisposed;
    private EventFile? _events;
    private int _stepsInEvents, _evaluationsInEvents;
    private FineTuneOptions? _attached;
    private long _historyWritten;
    private TimeSpan _pause;

    /// <summary>Makes a report of a run.</summary>
    /// <param name="folder">Made when the first file is written.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="history">The history that the run fills; null: a new one.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public RunReport(string folder, RunReportOptions? options = null, RunHistory? history = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        _options = options ?? new RunReportOptions();
        _options.Validate();
        (Folder, History) = (folder, history ?? new RunHistory());
    }

    /// <summary>The folder that files are written into.</summary>
    public string Folder { get; }

    /// <summary>The history that the run must fill.</summary>
    public RunHistory History { get; }

    /// <summary>
    /// The options, with <see cref="FineTuneOptions.History"/> this report's and evaluations reported to it, then to the listener that they
    /// named. Pass the report as the run's progress too.
    /// </summary>
    public FineTuneOptions Attach(FineTuneOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        FineTuneOptions attached = options with { History = History };
        _attached = options;
        return options.Evaluation is not { } evaluation ? attached
            : attached with { Evaluation = evaluation with { Progress = new EvaluationRelay(this, evaluation.Progress) } };
    }

    /// <summary>Reports a step of the run whose history is <see cref="History"/>.</summary>
    public void Report(StepRecord value)
    {
        ArgumentNullException.ThrowIfNull(value);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Try(WriteEvents);
        if ((value.Step + 1) % _options.EverySteps == 0) Try(WriteFiles);
        else if (_historyWritten == 0 || Stopwatch.GetElapsedTime(_historyWritten) > _pause) Try(WriteHistory);
    }

    /// <summary>Reports an evaluation.</summary>
    public void Report(EvaluationRecord value)
    {
        ArgumentNullException.ThrowIfNull(value);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Try(WriteEvents);
        Try(WriteFiles);
    }

    /// <summary>Writes all files as of now.</summary>
    /// <exception cref="IOException">A file cannot be written.</exception>
    /// <exception cref="ObjectDisposedException">The report was disposed of.</exception>
    public void Write()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        WriteEvents();
        WriteFiles();
    }

    /// <summary>Writes all files, where a step has been done. A later use is an <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        if (History.Count == 0) return;
        Try(WriteEvents);
        Try(WriteFiles);
    }

    /// <summary>Adds what the history has and the event file has not: all of it where the run began or resumed just now.</summary>
    private void WriteEvents()
    {
        if (!_options.Events) return;
        StepRecord[] steps = [.. History];
        IReadOnlyList<EvaluationRecord> evaluations = History.Evaluations;
        if (_events is null || steps.Length < _stepsInEvents || evaluations.Count < _evaluationsInEvents)
        {
            _events = new EventFile(Path.Combine(Folder, "tensorboard"));
            (_stepsInEvents, _evaluationsInEvents) = (0, 0);
        }
        for (; _stepsInEvents < steps.Length; _stepsInEvents++) _events.Add(steps[_stepsInEvents]);
        for (; _evaluationsInEvents < evaluations.Count; _evaluationsInEvents++) _events.Add(evaluations[_evaluationsInEvents]);
    }

    /// <summary>Writes the table of steps; the time that this takes stays a small part of the run's.</summary>
    private void WriteHistory()
    {
        const int Share = 50;
        long start = Stopwatch.GetTimestamp();
        ((StepRecord[])[.. History]).SaveCsv(File("history.csv"));
        _historyWritten = Stopwatch.GetTimestamp();
        TimeSpan pause = Share * Stopwatch.GetElapsedTime(start, _historyWritten);
        _pause = pause > TimeSpan.FromSeconds(1) ? pause : TimeSpan.FromSeconds(1);
    }

    private void WriteFiles()
    {
        StepRecord[] steps = [.. History];
        if (_attached is not null) OptionTable.Save(_attached, File("options.json"));
        IReadOnlyList<EvaluationRecord> evaluations = History.Evaluations;
        steps.SaveCsv(File("history.csv"));
        steps.SaveParquet(File("history.parquet"));
        // Before the evaluations themselves, by which those who watch the run look for their answers.
        if (evaluations.Any(evaluation => evaluation.Answers.Count > 0)) AnswerTable.Save(evaluations, File("answers.jsonl"));
        else Remove("answers.jsonl");
        if (evaluations.Count > 0)
        {
            evaluations.SaveCsv(File("evaluations.csv"));
            evaluations.SaveParquet(File("evaluations.parquet"));
        }
        else
        {
            Remove("evaluations.csv");
            Remove("evaluations.parquet");
        }
        steps.Plot(File("curves.png"), evaluations, _options.Curves);
        steps.Plot(File("curves.svg"), evaluations, _options.Curves);
    }

    private string File(string name) => Path.Combine(Folder, name);

    /// <summary>Removes a file of an earlier run's report, which this run has not written anew.</summary>
    private void Remove(string name) => System.IO.File.Delete(File(name));

    /// <summary>A full disk, or a drawing library that does not load, is told once; training goes on.</summary>
    private void Try(Action write)
    {
        try
        {
            write();
        }
        catch (Exception error) when (
            error is IOException or UnauthorizedAccessException or DllNotFoundException or TypeInitializationException)
        {
            string reason = (error as TypeInitializationException)?.InnerException?.Message ?? error.Message;
            if (!_isTold) _options.Notices?.Report($"{Folder}: the run's report cannot be written ({reason}). The run goes on.");
            _isTold = true;
        }
    }
}
