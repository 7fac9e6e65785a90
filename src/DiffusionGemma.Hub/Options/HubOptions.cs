using System.Text;
using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>
/// Addresses of the Hub and its cache, and how files are downloaded. An option that is null is read from the variables of the Hub's
/// Python client, at every call.
/// </summary>
public sealed record HubOptions
{
    /// <summary>The Hub; null: <c>HF_ENDPOINT</c>, else <c>https://huggingface.co</c>.</summary>
    public Uri? Endpoint { get; init; }

    /// <summary>
    /// The cache; null: <c>HF_HUB_CACHE</c>, else <c>hub</c> below <c>HF_HOME</c>, <c>$XDG_CACHE_HOME/huggingface</c> or
    /// <c>~/.cache/huggingface</c>.
    /// </summary>
    public string? CacheFolder { get; init; }

    /// <summary>
    /// The access token, sent to the endpoint alone; null: <c>HF_TOKEN</c>, else the file <c>HF_TOKEN_PATH</c> or <c>token</c> below
    /// <c>HF_HOME</c>; empty: none. It is never written to a message, nor by <see cref="ToString"/> or System.Text.Json.
    /// </summary>
    [JsonIgnore]
    public string? Token { get; init; }

    /// <summary>True: use the cache alone. Null: <c>HF_HUB_OFFLINE</c>.</summary>
    public bool? Offline { get; init; }

    /// <summary>
    /// The files that are wanted, as names, folders or patterns such as <c>*.json</c> and <c>onnx/**</c>; null or empty: all.
    /// </summary>
    public IReadOnlyList<string>? Include { get; init; }

    /// <summary>Files that are downloaded at once. Default: 8.</summary>
    public int MaxConcurrentFiles { get; init; } = 8;

    /// <summary>
    /// Number of times that a request is repeated after a passing failure; a transfer that moves on counts from zero. Default: 5.
    /// </summary>
    public int MaxRetries { get; init; } = 5;

    /// <summary>
    /// The longest wait that a server may ask for (<c>Retry-After</c>) before the download fails instead. Default: 10 minutes.
    /// </summary>
    public TimeSpan MaxRetryDelay { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time that a server may be silent, before its answer or within it. Default: 1 minute.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>The clock of waits and rates.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Free bytes of the disk that holds a folder; null: not known.</summary>
    internal Func<string, long?> FreeSpace { get; init; } = DiskSpace.Free;

    /// <summary>Makes a symbolic link (path, target).</summary>
    internal Action<string, string> MakeLink { get; init; } = (path, target) => File.CreateSymbolicLink(path, target);

    private bool PrintMembers(StringBuilder text)
    {
        text.Append($"{nameof(Endpoint)} = {Endpoint}, {nameof(CacheFolder)} = {CacheFolder}, {nameof(Token)} = "
            + $"{(string.IsNullOrEmpty(Token) ? "none" : "set")}, ");
        text.Append($"{nameof(Offline)} = {Offline}, {nameof(Include)} = [{string.Join(", ", Include ?? [])}], ");
        text.Append($"{nameof(MaxConcurrentFiles)} = {MaxConcurrentFiles}, {nameof(MaxRetries)} = {MaxRetries}, ");
        text.Append($"{nameof(MaxRetryDelay)} = {MaxRetryDelay}, {nameof(Timeout)} = {Timeout}");
        return true;
    }
}
