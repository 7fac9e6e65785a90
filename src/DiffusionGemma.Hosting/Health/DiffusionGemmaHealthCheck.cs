using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace DiffusionGemma;

/// <summary>Looks at the weights and the queue of a registered model; it makes no request.</summary>
internal sealed class DiffusionGemmaHealthCheck(DiffusionGemmaService service) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(Check());

    private HealthCheckResult Check()
    {
        var data = new Dictionary<string, object> { ["checkpoint"] = service.Checkpoint };
        if (service.LoadFailure is { } failure)
            return HealthCheckResult.Unhealthy($"The model could not be loaded: {failure.Message}", failure, data);
        if (service.Client?.GetService(typeof(GenerationQueue)) is not GenerationQueue queue)
            return HealthCheckResult.Degraded(
                service.IsLoading ? "The model is being loaded." : "The model will be loaded at the first request.", data: data);
        GenerationQueueStatus status = queue.Status;
        data["device"] = queue.Model.Device.ToString();
        data["waiting"] = status.Waiting;
        data["running"] = status.Running;
        if (status.SinceLastPass is { } since) data["secondsSinceLastPass"] = since.TotalSeconds;
        if (status.Failure is { } fault) return HealthCheckResult.Unhealthy($"The queue has ended: {fault.Message}", fault, data);
        return status.StalledFor > service.StallTimeout
            ? HealthCheckResult.Unhealthy(
                $"{status.Running} requests have waited {status.StalledFor.TotalSeconds:0} s for a decoder pass.", data: data)
            : HealthCheckResult.Healthy("The model is loaded.", data);
    }
}
