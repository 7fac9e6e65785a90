using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace DiffusionGemma;

/// <summary>Instruments and activities of denoising. They cost next to nothing where nobody listens.</summary>
internal static class DenoisingTelemetry
{
    public static readonly Histogram<int> CanvasSteps = DiffusionGemmaTelemetry.Meter.CreateHistogram<int>(
        "diffusiongemma.denoising.canvas.steps", "{pass}", "Decoder passes over a canvas until it was finished.");

    public static readonly Histogram<double> TokensPerPass = DiffusionGemmaTelemetry.Meter.CreateHistogram<double>(
        "diffusiongemma.denoising.tokens_per_pass", "{token}", "Tokens of an answer over its decoder passes.");

    public static readonly Histogram<double> PassDuration = DiffusionGemmaTelemetry.Meter.CreateHistogram<double>(
        "diffusiongemma.denoising.pass.duration", "s", "Time of a decoder pass over all rows of the batch, decisions included.");

    public static readonly Histogram<int> PassRows = DiffusionGemmaTelemetry.Meter.CreateHistogram<int>(
        "diffusiongemma.denoising.pass.rows", "{row}", "Rows of the batch in a decoder pass.");

    public static readonly UpDownCounter<int> Waiting = DiffusionGemmaTelemetry.Meter.CreateUpDownCounter<int>(
        "diffusiongemma.queue.waiting", "{request}", "Requests that wait for room in a batch.");

    public static readonly UpDownCounter<int> Running = DiffusionGemmaTelemetry.Meter.CreateUpDownCounter<int>(
        "diffusiongemma.queue.running", "{request}", "Requests in a batch.");

    public static readonly Histogram<double> WaitDuration = DiffusionGemmaTelemetry.Meter.CreateHistogram<double>(
        "diffusiongemma.queue.wait.duration", "s", "Time from a request's arrival until it joined a batch.");

    /// <summary>Begins the activity of one request; null where nobody listens.</summary>
    public static Activity? StartRequest(GenerationRequest request)
    {
        Activity? activity = DiffusionGemmaTelemetry.Activities.StartActivity("diffusiongemma.generate");
        activity?.SetTag("diffusiongemma.prompt.tokens", request.Prompt.Length);
        return activity;
    }

    /// <summary>Adds an answer's figures to the activity of its request.</summary>
    public static void SetResult(this Activity activity, GenerationResult result)
    {
        activity.SetTag("diffusiongemma.answer.tokens", result.Ids.Length);
        activity.SetTag("diffusiongemma.answer.canvases", result.StepsPerCanvas.Count);
        activity.SetTag("diffusiongemma.answer.passes", result.Steps);
        activity.SetTag("diffusiongemma.answer.finish", result.Finish.ToString());
        activity.SetStatus(ActivityStatusCode.Ok);
    }
}
