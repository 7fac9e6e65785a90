using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace DiffusionGemma;

/// <summary>Refuses requests that are addressed to another host, and those without the key.</summary>
internal sealed class AccessFilter(DiffusionGemmaServerOptions options)
{
    private readonly byte[]? _key = options.ApiKey is { } key ? Hash(key) : null;

    /// <summary>
    /// Refuses a request whose Host is neither a loopback name nor allowed: a browser sends the name that its page was loaded from, so a
    /// site that resolves its name to this machine (DNS rebinding) cannot reach the endpoints.
    /// </summary>
    public ValueTask<object?> CheckHost(EndpointFilterInvocationContext invocation, EndpointFilterDelegate next)
    {
        string host = invocation.HttpContext.Request.Host.Host;
        if (IsLoopback(host) || options.AllowedHosts.Contains(host, StringComparer.OrdinalIgnoreCase)) return next(invocation);
        return ValueTask.FromResult<object?>(new OpenAIError(
            StatusCodes.Status403Forbidden, $"The host '{host}' is not allowed: name it in AllowedHosts.", code: "host_not_allowed")
            .ToResult());
    }

    /// <summary>Refuses a request without the key, where there is one. Keys are compared by their hashes, in constant time.</summary>
    public ValueTask<object?> CheckKey(EndpointFilterInvocationContext invocation, EndpointFilterDelegate next)
    {
        if (_key is null) return next(invocation);
        const string Scheme = "Bearer ";
        string header = invocation.HttpContext.Request.Headers.Authorization.ToString();
        bool isRight = header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(Hash(header[Scheme.Length..].Trim()), _key);
        if (isRight) return next(invocation);
        invocation.HttpContext.Response.Headers.WWWAuthenticate = "Bearer";
        return ValueTask.FromResult<object?>(new OpenAIError(
            StatusCodes.Status401Unauthorized,
            header.Length == 0 ? "A key is needed: Authorization: Bearer KEY." : "The key is wrong.", code: "invalid_api_key").ToResult());
    }

    private static bool IsLoopback(string host) =>
        string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));

    private static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
