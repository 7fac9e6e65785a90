using Polly;
using Polly.Retry;

namespace DiffusionGemma;

/// <summary>Makes requests again that failed for a passing reason, after the time that the server asks for or a doubling one.</summary>
internal sealed class Retries
{
    private readonly ResiliencePipeline _first, _underWay;

    public Retries(HubSettings settings, ProgressMeter meter)
    {
        // A name that does not resolve before anything was received is a machine without a network more often than a passing fault.
        _first = Build(settings.Options, meter, e => !e.NameNotResolved);
        _underWay = Build(settings.Options, meter, _ => true);
    }

    public ValueTask<T> FirstAsync<T>(Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellation) =>
        _first.ExecuteAsync(request, cancellation);

    public ValueTask<T> UnderWayAsync<T>(Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellation) =>
        _underWay.ExecuteAsync(request, cancellation);

    private static ResiliencePipeline Build(HubOptions options, ProgressMeter meter, Func<HubException, bool> also)
    {
        var builder = new ResiliencePipelineBuilder { TimeProvider = options.Clock };
        if (options.MaxRetries > 0)
        {
            builder.AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<HubException>(e =>
                    e.IsTransient && also(e) && (e.RetryAfter ?? TimeSpan.Zero) <= options.MaxRetryDelay),
                MaxRetryAttempts = options.MaxRetries,
                Delay = TimeSpan.FromSeconds(1),
                MaxDelay = TimeSpan.FromMinutes(1),
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                DelayGenerator = retry => ValueTask.FromResult((retry.Outcome.Exception as HubException)?.RetryAfter),
                OnRetry = retry =>
                {
                    meter.Notify($"{retry.Outcome.Exception!.Message} Next try in {Math.Ceiling(retry.RetryDelay.TotalSeconds)} s.");
                    return ValueTask.CompletedTask;
                },
            });
        }
        return builder.Build();
    }
}
