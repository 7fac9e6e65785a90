namespace DiffusionGemma;

/// <summary>A repository, revision or file could not be had from the Hub or its cache; the message says which, and the way out.</summary>
public sealed class HubException : IOException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="error">The kind of failure.</param>
    /// <param name="message">What failed, and what to do.</param>
    /// <param name="inner">The cause, where there is one.</param>
    public HubException(HubError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    /// <summary>The kind of failure.</summary>
    public HubError Error { get; }

    /// <summary>Time that the server asked to wait before the next request; null: it did not say.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>True for failures that may pass: no connection, too many requests, a failing server.</summary>
    public bool IsTransient => Error is HubError.Unreachable or HubError.RateLimited or HubError.ServerFailed;

    /// <summary>The host's name could not be resolved: this machine is offline, or the name is wrong.</summary>
    internal bool NameNotResolved { get; init; }
}
