using Microsoft.AspNetCore.Routing;

namespace DiffusionGemma;

/// <summary>Limits and access of the endpoints that <c>MapDiffusionGemma</c> adds. All entries can be bound from configuration.</summary>
public sealed class DiffusionGemmaServerOptions
{
    /// <summary>The environment variable that holds the key where <see cref="ApiKey"/> is not set.</summary>
    public const string ApiKeyVariable = "DIFFUSIONGEMMA_API_KEY";

    /// <summary>
    /// The key that requests give as <c>Authorization: Bearer KEY</c>; null: none is asked for. Default: the value of the environment
    /// variable <see cref="ApiKeyVariable"/>.
    /// </summary>
    public string? ApiKey { get; set; } = Environment.GetEnvironmentVariable(ApiKeyVariable)?.Trim() is { Length: > 0 } key ? key : null;

    /// <summary>
    /// Host names that requests may be addressed to, besides the loopback's. A page of another site that resolves its own name to this
    /// machine is refused by it.
    /// </summary>
    public IList<string> AllowedHosts { get; set; } = [];

    /// <summary>Requests that are answered or wait at the same time; one more is refused with 429. Default: 64.</summary>
    public int MaxRequests { get; set; } = 64;

    /// <summary>Bytes of a request's body. Default: 4 MiB.</summary>
    public int MaxBodyBytes { get; set; } = 4 << 20;

    /// <summary>Messages of a request. Default: 1024.</summary>
    public int MaxMessages { get; set; } = 1024;

    /// <summary>Tools of a request. Default: 128.</summary>
    public int MaxTools { get; set; } = 128;

    /// <summary>Answers of one request (<c>n</c>). Default: 8.</summary>
    public int MaxChoices { get; set; } = 8;

    /// <summary>New tokens of an answer; a request that asks for more is refused. Default: 8192.</summary>
    public int MaxTokens { get; set; } = 8192;

    /// <summary>Time of a request, from its arrival to the end of its answer. Default: 10 minutes.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>True to log the last message of each request. False: no text of a prompt or an answer is logged.</summary>
    public bool LogsPrompts { get; set; }

    /// <summary>True to serve the page at <c>/</c>. Default: true.</summary>
    public bool ServesPage { get; set; } = true;

    /// <summary>
    /// True to let clients load and unload adapters (<c>POST /v1/load_lora_adapter</c>, <c>POST /v1/unload_lora_adapter</c>): they name
    /// folders of this machine. In code, <see cref="DiffusionGemmaChatClient.Adapters"/> does it.
    /// </summary>
    public bool ChangesAdapters { get; set; }

    /// <summary>
    /// A folder of training runs whose curves the page shows, behind the same key: a run's folder, or a folder of several, with the files
    /// of a run's report. Null: none.
    /// </summary>
    public string? RunsFolder { get; set; }

    /// <summary>
    /// Maps further endpoints behind the same hosts and the same key, such as a metrics exporter's; null: none. They are mapped on a group
    /// of the application's root.
    /// </summary>
    public Action<IEndpointRouteBuilder>? GuardedEndpoints { get; set; }

    /// <summary>Checks all entries.</summary>
    /// <exception cref="ArgumentException">Entries that cannot be used, all in one message.</exception>
    internal void Require()
    {
        var faults = new List<string>();
        void AtLeastOne(int value, string name)
        {
            if (value < 1) faults.Add($"{name} is {value}; it is at least 1");
        }

        AtLeastOne(MaxRequests, nameof(MaxRequests));
        AtLeastOne(MaxBodyBytes, nameof(MaxBodyBytes));
        AtLeastOne(MaxMessages, nameof(MaxMessages));
        AtLeastOne(MaxTools, nameof(MaxTools));
        AtLeastOne(MaxChoices, nameof(MaxChoices));
        AtLeastOne(MaxTokens, nameof(MaxTokens));
        if (Timeout <= TimeSpan.Zero) faults.Add($"Timeout is {Timeout}; it is positive");
        if (RunsFolder is { } runs && string.IsNullOrWhiteSpace(runs)) faults.Add("RunsFolder is empty; it is a folder, or null");
        if (ApiKey is { Length: < 16 }) faults.Add("ApiKey is shorter than 16 characters");
        if (AllowedHosts.Any(string.IsNullOrWhiteSpace)) faults.Add("AllowedHosts holds an empty name");
        if (faults.Count > 0) throw new ArgumentException($"The options of a DiffusionGemma server: {string.Join("; ", faults)}.");
    }
}
