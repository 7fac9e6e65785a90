namespace DiffusionGemma;

/// <summary>
/// Curves, tables and event files of a run's history. Files are written whole or not at all, over those of the same name.
/// </summary>
public static class HistoryReportExtensions
{
    /// <summary>
    /// Draws total, diffusion and encoder loss (raw and smoothed), gradient norm, learning rate, and held-out loss by noise level.
    /// </summary>
    /// <param name="history">A run's records, complete or not; a <see cref="RunHistory"/> also gives its evaluations.</param>
    /// <param name="path">The file, .png or .svg.</param>
    /// <param name="evaluations">The run's evaluations; null: those of a <see cref="RunHistory"/>, or none.</param>
    /// <param name="options">Size and smoothing; null: the defaults.</param>
    /// <remarks>Values that are not finite leave a gap, and a dotted red line marks their step.</remarks>
    /// <exception cref="ArgumentException">The file's name ends in neither .png nor .svg, or an option is out of range.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <example><code>history.Plot("curves.png");</code></example>
    public static void Plot(
        this IEnumerable<StepRecord> history, string path, IEnumerable<EvaluationRecord>? evaluations = null, CurveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(history);
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new CurveOptions();
        options.Validate();
        RunFigure.Save(path, [.. history], Evaluations(history, evaluations), options);
    }

    /// <summary>Draws the curves of a model that <c>gemma.FineTune</c> trained.</summary>
    /// <param name="summary">The course of its training.</param>
    /// <param name="path">The file, .png or .svg.</param>
    /// <param name="options">Size and smoothing; null: the defaults.</param>
    /// <exception cref="ArgumentException">The file's name ends in neither .png nor .svg, or an option is out of range.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Plot(this FineTuneSummary summary, string path, CurveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(summary);
        summary.History.Plot(path, summary.Evaluations, options);
    }

    /// <summary>Writes a table with a line for each step, under the names of <see cref="StepRecord"/>'s figures.</summary>
    /// <param name="history">A run's records.</param>
    /// <param name="path">The csv file. Values that are not finite are NaN, Infinity and -Infinity.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveCsv(this IEnumerable<StepRecord> history, string path) => TableFile.SaveCsv(history.ToDataFrame(), path);

    /// <summary>Writes a table with a line for each evaluation, the losses at each noise level included.</summary>
    /// <param name="evaluations">A run's evaluations.</param>
    /// <param name="path">The csv file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveCsv(this IEnumerable<EvaluationRecord> evaluations, string path) =>
        TableFile.SaveCsv(EvaluationTable.Create([.. evaluations]), path);

    /// <summary>Writes a table with a row for each step, under the names of <see cref="StepRecord"/>'s figures.</summary>
    /// <param name="history">A run's records.</param>
    /// <param name="path">The parquet file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveParquet(this IEnumerable<StepRecord> history, string path) =>
        TableFile.SaveParquet(history.ToDataFrame(), path);

    /// <summary>Writes a table with a row for each evaluation, the losses at each noise level included.</summary>
    /// <param name="evaluations">A run's evaluations.</param>
    /// <param name="path">The parquet file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveParquet(this IEnumerable<EvaluationRecord> evaluations, string path) =>
        TableFile.SaveParquet(EvaluationTable.Create([.. evaluations]), path);

    /// <summary>Writes an event file that TensorBoard reads.</summary>
    /// <param name="history">A run's records; a <see cref="RunHistory"/> also gives its evaluations.</param>
    /// <param name="folder">The log folder, for this run alone: event files that lie in it move to earlier-N below it.</param>
    /// <param name="evaluations">The run's evaluations; null: those of a <see cref="RunHistory"/>, or none.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static void SaveEvents(
        this IEnumerable<StepRecord> history, string folder, IEnumerable<EvaluationRecord>? evaluations = null)
    {
        ArgumentNullException.ThrowIfNull(history);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var file = new EventFile(folder);
        foreach (StepRecord step in history) file.Add(step);
        foreach (EvaluationRecord evaluation in Evaluations(history, evaluations)) file.Add(evaluation);
    }

    private static IReadOnlyList<EvaluationRecord> Evaluations(
        IEnumerable<StepRecord> history, IEnumerable<EvaluationRecord>? evaluations) =>
        evaluations is not null ? [.. evaluations] : (history as RunHistory)?.Evaluations ?? [];
}
