using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace DiffusionGemma;

/// <summary>
/// Names of the meter and the activity source by which training and denoising are watched, with OpenTelemetry for example:
/// <c>.WithMetrics(m => m.AddMeter(DiffusionGemmaTelemetry.Name)).WithTracing(t => t.AddSource(DiffusionGemmaTelemetry.Name))</c>.
/// docs/hosting.md lists the instruments and activities. Nothing in them is text of a prompt or an answer.
/// </summary>
public static class DiffusionGemmaTelemetry
{
    /// <summary>The name of the <see cref="System.Diagnostics.Metrics.Meter"/> and of the <see cref="ActivitySource"/>.</summary>
    public const string Name = "DiffusionGemma";

    // Static because listeners find a meter and a source by name, for the whole process; they hold no state of a run or a request.
    internal static readonly Meter Meter = new(Name, Version);
    internal static readonly ActivitySource Activities = new(Name, Version);

    private static string? Version => typeof(DiffusionGemmaTelemetry).Assembly.GetName().Version?.ToString(3);
}
