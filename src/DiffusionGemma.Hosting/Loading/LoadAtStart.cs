using Microsoft.Extensions.Hosting;

namespace DiffusionGemma;

/// <summary>Begins to load a model when the host starts, without making the host wait: readiness is the health check's.</summary>
internal sealed class LoadAtStart(DiffusionGemmaService service) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        // A failure is logged and shown by the health check; it is observed here so that nothing calls it unobserved.
        if (service.LoadsAtStart)
            _ = service.GetClientAsync(CancellationToken.None).ContinueWith(
                static task => task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
