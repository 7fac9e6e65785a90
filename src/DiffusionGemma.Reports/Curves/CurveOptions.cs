namespace DiffusionGemma;

/// <summary>Size and smoothing of the curves that <see cref="HistoryReportExtensions.Plot(IEnumerable{StepRecord}, string,
/// IEnumerable{EvaluationRecord}, CurveOptions)"/> draws.</summary>
public sealed record CurveOptions
{
    /// <summary>Width of the whole figure in pixels, at least 300. Default: 1500.</summary>
    public int Width { get; init; } = 1500;

    /// <summary>Height of the whole figure in pixels, at least 200. Default: 800.</summary>
    public int Height { get; init; } = 800;

    /// <summary>
    /// Weight of the past in the smoothed curve, from 0 (none is drawn) to below 1: an exponential moving average without the bias towards
    /// its start, as TensorBoard draws it. Default: 0.9.
    /// </summary>
    public double Smoothing { get; init; } = 0.9;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Width, 300, $"{nameof(CurveOptions)}.{nameof(Width)}");
        ArgumentOutOfRangeException.ThrowIfLessThan(Height, 200, $"{nameof(CurveOptions)}.{nameof(Height)}");
        if (!(Smoothing is >= 0 and < 1)) throw new ArgumentOutOfRangeException(
            $"{nameof(CurveOptions)}.{nameof(Smoothing)}", Smoothing, "must be at least 0 and less than 1");
    }
}
