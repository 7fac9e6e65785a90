namespace DiffusionGemma;

/// <summary>Reports every step to a listener.</summary>
internal sealed class ProgressCallback(IProgress<StepRecord>? listener, CancellationCallback cancellation) : IRunCallback
{
    public void AfterStep(RunProgress run, StepRecord record) => cancellation.Report(listener, record);
}
