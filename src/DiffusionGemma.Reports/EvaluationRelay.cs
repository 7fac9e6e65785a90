namespace DiffusionGemma;

/// <summary>Reports evaluations to a report, then to the run's own listener.</summary>
/// <param name="report">Receives them first.</param>
/// <param name="next">The run's own; null: nobody.</param>
internal sealed class EvaluationRelay(RunReport report, IProgress<EvaluationRecord>? next) : IProgress<EvaluationRecord>
{
    public void Report(EvaluationRecord value)
    {
        report.Report(value);
        next?.Report(value);
    }
}
