using DiffusionGemma;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

// The namespace in which an application that registers services already is.
namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers DiffusionGemma as an <see cref="IChatClient"/>, and its health check.</summary>
public static class DiffusionGemmaServiceExtensions
{
    /// <summary>
    /// Registers a model as the <see cref="IChatClient"/> of the services, and as a <see cref="DiffusionGemmaService"/>. One model answers
    /// any number of callers in one batch.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="checkpoint">A Hugging Face folder, or an id on the Hub.</param>
    /// <param name="configure">Changes the options; called at once.</param>
    /// <returns>A builder for middleware: function invocation, caching, logging, telemetry.</returns>
    /// <exception cref="ArgumentException">An option cannot be used.</exception>
    public static ChatClientBuilder AddDiffusionGemma(
        this IServiceCollection services, string checkpoint, Action<DiffusionGemmaServiceOptions>? configure = null)
    {
        DiffusionGemmaServiceOptions options = Configure(services, checkpoint, configure);
        services.AddSingleton(provider => Create(provider, checkpoint, options));
        return AddSingle(services);
    }

    /// <summary>
    /// Registers a model that the application loads itself, such as a trained one, as <c>AddDiffusionGemma</c> registers a checkpoint.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="name">Names the model in logs and in the health check's data.</param>
    /// <param name="load">Makes the client, once, on a thread of its own, when the host starts. The service disposes the client.</param>
    /// <returns>A builder for middleware.</returns>
    /// <example>
    /// <code>
    /// services.AddDiffusionGemmaClient("mine", _ => trained.LastTransformer.Model.AsIChatClient());
    /// </code>
    /// </example>
    public static ChatClientBuilder AddDiffusionGemmaClient(
        this IServiceCollection services, string name, Func<IServiceProvider, DiffusionGemmaChatClient> load)
    {
        ArgumentNullException.ThrowIfNull(load);
        DiffusionGemmaServiceOptions options = Configure(services, name, null);
        services.AddSingleton(provider => Create(provider, name, options, () => load(provider)));
        return AddSingle(services);
    }

    /// <summary>Registers a model under a key, beside others.</summary>
    /// <param name="services">The services.</param>
    /// <param name="serviceKey">The key of the <see cref="IChatClient"/> and the <see cref="DiffusionGemmaService"/>.</param>
    /// <param name="checkpoint">A Hugging Face folder, or an id on the Hub.</param>
    /// <param name="configure">Changes the options; called at once.</param>
    /// <returns>A builder for middleware.</returns>
    /// <exception cref="ArgumentException">An option cannot be used.</exception>
    public static ChatClientBuilder AddKeyedDiffusionGemma(
        this IServiceCollection services, object serviceKey, string checkpoint, Action<DiffusionGemmaServiceOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(serviceKey);
        DiffusionGemmaServiceOptions options = Configure(services, checkpoint, configure);
        services.AddKeyedSingleton(serviceKey, (provider, _) => Create(provider, checkpoint, options));
        services.AddSingleton<IHostedService>(
            provider => new LoadAtStart(provider.GetRequiredKeyedService<DiffusionGemmaService>(serviceKey)));
        return services.AddKeyedChatClient(
            serviceKey, provider => new LoadingChatClient(provider.GetRequiredKeyedService<DiffusionGemmaService>(serviceKey)));
    }

    /// <summary>
    /// Adds a check of a registered model. Healthy: the weights are loaded, and the queue moves. Degraded: they are being loaded, or will
    /// be at the first request. Unhealthy: they could not be loaded, the queue has failed, or a running request waits too long for its next
    /// decoder pass (<see cref="DiffusionGemmaServiceOptions.StallTimeout"/>). The data: checkpoint, device, waiting, running,
    /// secondsSinceLastPass.
    /// </summary>
    /// <param name="builder">The health checks.</param>
    /// <param name="name">The check's name.</param>
    /// <param name="serviceKey">The key of the model; null: the one without a key.</param>
    /// <param name="tags">Tags that select the check, such as <c>ready</c>.</param>
    public static IHealthChecksBuilder AddDiffusionGemma(
        this IHealthChecksBuilder builder, string name = "diffusiongemma", object? serviceKey = null, IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(
            name, provider => new DiffusionGemmaHealthCheck(provider.GetRequiredKeyedService<DiffusionGemmaService>(serviceKey)),
            failureStatus: null, tags));
    }

    private static ChatClientBuilder AddSingle(IServiceCollection services)
    {
        services.AddSingleton<IHostedService>(provider => new LoadAtStart(provider.GetRequiredService<DiffusionGemmaService>()));
        return services.AddChatClient(provider => new LoadingChatClient(provider.GetRequiredService<DiffusionGemmaService>()));
    }

    private static DiffusionGemmaServiceOptions Configure(
        IServiceCollection services, string checkpoint, Action<DiffusionGemmaServiceOptions>? configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrWhiteSpace(checkpoint);
        var options = new DiffusionGemmaServiceOptions();
        configure?.Invoke(options);
        options.Require();
        return options;
    }

    private static DiffusionGemmaService Create(
        IServiceProvider provider, string checkpoint, DiffusionGemmaServiceOptions options,
        Func<DiffusionGemmaChatClient>? load = null)
    {
        ILogger? logger = provider.GetService<ILoggerFactory>()?.CreateLogger<DiffusionGemmaService>();
        return new DiffusionGemmaService(
            checkpoint, owned => load is null ? options.Load(checkpoint, owned) : load(), options, logger ?? NullLogger.Instance);
    }
}
