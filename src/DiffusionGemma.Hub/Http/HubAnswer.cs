namespace DiffusionGemma;

/// <summary>An answer after redirects were followed.</summary>
/// <param name="Response">The last answer.</param>
/// <param name="Address">The address that gave it.</param>
/// <param name="Elsewhere">Where it redirects, if that is another host and such redirects were not to be followed.</param>
internal sealed record HubAnswer(HttpResponseMessage Response, Uri Address, Uri? Elsewhere) : IDisposable
{
    public void Dispose() => Response.Dispose();

    /// <summary>The first value of a header, without quotation marks and the mark of a weak tag.</summary>
    public string? Header(string name)
    {
        if (!Response.Headers.TryGetValues(name, out IEnumerable<string>? values)
            && !Response.Content.Headers.TryGetValues(name, out values))
            return null;
        string value = values.First().Trim();
        if (value.StartsWith("W/", StringComparison.Ordinal)) value = value[2..];
        return value.Trim('"');
    }
}
