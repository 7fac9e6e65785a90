namespace DiffusionGemma;

/// <summary>A request that the server received.</summary>
internal sealed record HubRequest(bool SecondHost, string Method, string Path, string? Authorization, string? Range, string? Encoding)
{
    public override string ToString() => $"{(SecondHost ? "second host" : "endpoint")}: {Method} {Path}{(Range is null ? "" : " "
        + "" + Range)}";
}
