using DiffusionGemma;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

// The namespace in which an application that maps endpoints already is.
namespace Microsoft.AspNetCore.Builder;

/// <summary>Maps the endpoints of a model that <c>AddDiffusionGemma</c> registered.</summary>
public static class DiffusionGemmaServerExtensions
{
    /// <summary>
    /// Maps OpenAI's <c>/v1/models</c> and <c>/v1/chat/completions</c>, <c>/health</c>, <c>/runs</c>, and a page at <c>/</c>.
    /// </summary>
    /// <param name="endpoints">The application.</param>
    /// <param name="configure">Changes the options; called at once.</param>
    /// <param name="serviceKey">The key of the model; null: the one without a key.</param>
    /// <returns>A builder for conventions of all endpoints.</returns>
    /// <exception cref="ArgumentException">An option cannot be used.</exception>
    /// <exception cref="InvalidOperationException">No model is registered under the key.</exception>
    public static IEndpointConventionBuilder MapDiffusionGemma(
        this IEndpointRouteBuilder endpoints, Action<DiffusionGemmaServerOptions>? configure = null, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var options = new DiffusionGemmaServerOptions();
        configure?.Invoke(options);
        options.Require();
        IServiceProvider services = endpoints.ServiceProvider;
        DiffusionGemmaService service = services.GetKeyedService<DiffusionGemmaService>(serviceKey) ?? throw new InvalidOperationException(
            "No model is registered" + (serviceKey is null ? "" : $" under the key '{serviceKey}'")
                + ": call services.AddDiffusionGemma(folderOrId) first.");
        var gate = new RequestGate(options, services.GetRequiredService<IHostApplicationLifetime>());
        var access = new AccessFilter(options);
        ILogger logger = services.GetRequiredService<ILoggerFactory>().CreateLogger("DiffusionGemma.Server");
        var completions = new ChatCompletionsEndpoint(service, options, gate, logger);
        var models = new ModelsEndpoint(service);

        RouteGroupBuilder all = endpoints.MapGroup("");
        all.AddEndpointFilter(access.CheckHost);
        all.MapGet("/health", (HttpContext context) => HealthEndpoint.Answer(context, service, gate));
        RouteGroupBuilder api = all.MapGroup("/v1");
        api.AddEndpointFilter(access.CheckKey);
        api.MapGet("/models", models.List);
        api.MapGet("/models/{**id}", models.Find);
        api.MapPost("/chat/completions", completions.Answer);
        if (options.ChangesAdapters)
        {
            var adapters = new AdaptersEndpoint(service, options, services.GetRequiredService<IHostApplicationLifetime>(), logger);
            api.MapPost("/load_lora_adapter", adapters.Load);
            api.MapPost("/unload_lora_adapter", adapters.Unload);
        }
        api.MapFallback((HttpContext context) => new OpenAIError(
            StatusCodes.Status404NotFound, $"There is no {context.Request.Method} {context.Request.Path} here: there are GET /v1/models, "
                + "GET /v1/models/{id} and POST /v1/chat/completions.", code: "unknown_url").ToResult());
        RouteGroupBuilder guarded = all.MapGroup("");
        guarded.AddEndpointFilter(access.CheckKey);
        options.GuardedEndpoints?.Invoke(guarded);
        if (options.RunsFolder is { } folder)
        {
            var runs = new RunsEndpoint(folder);
            guarded.MapGet("/runs", runs.List);
            guarded.MapGet("/runs/{name}", runs.Find);
            guarded.MapGet("/runs/{name}/answers", runs.Answers);
        }
        if (options.ServesPage) PageEndpoint.Map(all, asksForKey: options.ApiKey is not null, hasRuns: options.RunsFolder is not null);
        return all;
    }
}
