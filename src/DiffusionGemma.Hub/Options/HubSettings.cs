namespace DiffusionGemma;

/// <summary>The options with the environment's variables in place of what is null.</summary>
internal sealed class HubSettings
{
    private const string DefaultEndpoint = "https://huggingface.co";

    private readonly Func<string, string?> _variables;

    /// <param name="options">What the caller says; null: nothing.</param>
    /// <param name="variables">The environment; null: this process's.</param>
    public HubSettings(HubOptions? options, Func<string, string?>? variables = null)
    {
        _variables = variables ?? Environment.GetEnvironmentVariable;
        Options = options ?? new HubOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(Options.MaxConcurrentFiles, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Options.MaxRetries, 0);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(Options.Timeout, TimeSpan.Zero);
        Endpoint = ReadEndpoint(Options.Endpoint?.OriginalString ?? Variable("HF_ENDPOINT") ?? DefaultEndpoint);
        string home = FolderVariable("HF_HOME") ?? Path.Combine(FolderVariable("XDG_CACHE_HOME") ?? InHome(".cache"), "huggingface");
        CacheFolder = Path.GetFullPath(Options.CacheFolder ?? FolderVariable("HF_HUB_CACHE") ?? Path.Combine(home, "hub"));
        Offline = Options.Offline ?? Variable("HF_HUB_OFFLINE")?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";
        Token = Checked(Options.Token ?? Variable("HF_TOKEN") ?? ReadFile(FolderVariable("HF_TOKEN_PATH") ?? Path.Combine(home, "token")));
    }

    public HubOptions Options { get; }

    /// <summary>Without a slash at its end.</summary>
    public Uri Endpoint { get; }

    public string CacheFolder { get; }

    public bool Offline { get; }

    /// <summary>Null: none.</summary>
    public string? Token { get; }

    private static Uri ReadEndpoint(string text)
    {
        if (Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out Uri? endpoint) && endpoint.Scheme is "http" or "https"
            && endpoint.UserInfo.Length == 0 && endpoint.Query.Length == 0 && endpoint.Fragment.Length == 0)
        {
            return endpoint;
        }
        throw new ArgumentException($"The Hub's endpoint (HubOptions.{nameof(HubOptions.Endpoint)} or HF_ENDPOINT) must be an http or "
            + $"https address without user, query and fragment, such as {DefaultEndpoint}.");
    }

    private static string? Checked(string? token)
    {
        token = token?.Trim();
        if (string.IsNullOrEmpty(token)) return null;
        return token.All(c => c is > ' ' and <= '~') ? token
            : throw new ArgumentException("The Hub's token (HF_TOKEN, the token file or HubOptions.Token) holds a character that no "
                + "token has, such as a space or a line break within it.");
    }

    private static string? ReadFile(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path) : null;
        }
        catch (UnauthorizedAccessException e)
        {
            throw new HubException(HubError.Unauthorized, $"The token file {path} cannot be read: {e.Message}", e);
        }
    }

    private string? FolderVariable(string name)
    {
        if (Variable(name) is not { } value) return null;
        if (value == "~" || value.StartsWith("~/", StringComparison.Ordinal)) value = InHome(value[1..].TrimStart('/'));
        return ExpandVariables(value);
    }

    /// <summary>As the Python client does: <c>$NAME</c> and <c>${NAME}</c>; an unknown variable stays as it is.</summary>
    private string ExpandVariables(string text) =>
        System.Text.RegularExpressions.Regex.Replace(text, @"\$(?:\{(\w+)\}|(\w+))", match =>
            _variables(match.Groups[1].Success ? match.Groups[1].Value : match.Groups[2].Value) ?? match.Value);

    private static string InHome(string name) =>
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify), name);

    private string? Variable(string name) => _variables(name) is { Length: > 0 } value ? value : null;
}
