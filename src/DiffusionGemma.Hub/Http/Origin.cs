namespace DiffusionGemma;

/// <summary>Scheme, host and port of an address: the rules that keep a token and a download from going astray.</summary>
internal static class Origin
{
    /// <summary>True if scheme, host and port are the same: the token goes nowhere else.</summary>
    public static bool IsSame(Uri a, Uri b) => a.Scheme == b.Scheme && a.Port == b.Port
        && string.Equals(a.IdnHost, b.IdnHost, StringComparison.OrdinalIgnoreCase);

    /// <summary>The target of a redirect or of a link to a further page.</summary>
    /// <exception cref="HubException">The target is not one to be followed.</exception>
    public static Uri Follow(Uri from, string? target)
    {
        // A path is relative, though .NET takes one on Unix for the address of a file.
        if (string.IsNullOrEmpty(target) || !Uri.TryCreate(from, target, out Uri? to))
            throw Refused(from, "no address");
        if (to.Scheme is not ("http" or "https"))
            throw Refused(from, $"an address of the scheme '{to.Scheme}'");
        if (from.Scheme == "https" && to.Scheme == "http")
            throw Refused(from, $"{to.Authority}, from https to http");
        if (to.UserInfo.Length > 0)
            throw Refused(from, "an address with a user's name in it");
        return to;
    }

    /// <summary>An address for a message: the query of a signed link is a secret.</summary>
    public static string Printable(Uri address) => address.GetLeftPart(UriPartial.Path);

    private static HubException Refused(Uri from, string target) =>
        new(HubError.Refused, $"{Printable(from)} redirects to {target}, which is not followed.");
}
