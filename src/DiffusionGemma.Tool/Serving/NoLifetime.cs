using Microsoft.Extensions.Hosting;

namespace DiffusionGemma;

/// <summary>Leaves Ctrl+C to the tool: a host would listen to it too.</summary>
internal sealed class NoLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
