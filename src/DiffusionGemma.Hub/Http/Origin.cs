namespace DiffusionGemma;

/// <summary>Where an address leads: the rules that keep a token and a download from going astray.</summary>
internal static class Origin
{
    /// <summary>True if scheme, host and port are the same: the token goes nowhere else.</summary>
    public static bool IsSame(Uri a, Uri b) => a.Scheme == b.Scheme && a.Port == b.Port && string.Equals(a.IdnHost, b.IdnHost, StringComparison.OrdinalIgnoreCase);

    /// <summary>The target of a redirect or of a link to a further page.</summary>
    /// <exception cref="HubException">The target is not one to be followed.</exception>
    public static Uri Follow(Uri from, string? target)
    {
        // A path is relative, though .NET takes one on Unix for the address of a file.
        if (string.IsNullOrEmpty(target) || !Uri.TryCreate(from, target, out Uri? to))
            throw new HubException(HubError.Refused, $"{Printable(from)} redirects to no address.");
        if (to.Scheme is not ("http" or "https"))
            throw new HubException(HubError.Refused, $"{Printable(from)} redirects to an address of the scheme '{to.Scheme}', which is not followed.");
        if (from.Scheme == "https" && to.Scheme == "http")
            throw new HubException(HubError.Refused, $"{Printable(from)} redirects from https to http on {to.Authority}, which is not followed.");
        if (to.UserInfo.Length > 0)
            throw new HubException(HubError.Refused, $"{Printable(from)} redirects to an address with a user's name in it, which is not followed.");
        return to;
    }

    /// <summary>An address for a message: the query of a signed link is a secret.</summary>
    public static string Printable(Uri address) => address.GetLeftPart(UriPartial.Path);
}
