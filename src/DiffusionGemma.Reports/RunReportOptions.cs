namespace DiffusionGemma;

/// <summary>Options of a <see cref="RunReport"/>: the files that it writes, and how often.</summary>
public sealed record RunReportOptions
{
    /// <summary>Steps between two drawings of the curves and tables; event files are written at every step. Default: 25.</summary>
    public int EverySteps { get; init; } = 25;

    /// <summary>Size and smoothing of the curves.</summary>
    public CurveOptions Curves { get; init; } = new();

    /// <summary>True to write event files of TensorBoard. Default: true.</summary>
    public bool Events { get; init; } = true;

    /// <summary>Receives the reason where files cannot be written during a run, which goes on; null: nobody.</summary>
    public IProgress<string>? Notices { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(EverySteps, 1, $"{nameof(RunReportOptions)}.{nameof(EverySteps)}");
        Curves.Validate();
    }
}
