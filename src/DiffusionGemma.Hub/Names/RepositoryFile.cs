namespace DiffusionGemma;

/// <summary>The names of files in a repository, which a server says and which become paths on this machine.</summary>
internal static class RepositoryFile
{
    /// <returns>Why the name must not become a path here; null if it may.</returns>
    public static string? Fault(string name)
    {
        if (name.Length == 0) return "is empty";
        if (name.Any(char.IsControl)) return "holds a control character";
        if (name.Contains('\\')) return "holds a backslash";
        if (name.Contains(':')) return "holds a colon, which names a drive or a stream";
        foreach (string part in name.Split('/'))
        {
            if (part.Length == 0) return "is absolute or has an empty part";
            // Windows drops dots and spaces at the end of a name, so that ".. " is ".." there.
            if (part.TrimEnd('.', ' ').Length == 0) return "leads out of its folder";
        }
        return null;
    }

    /// <summary>The name, as a path below a folder.</summary>
    /// <exception cref="HubException">The name is not safe.</exception>
    public static string Below(string folder, string name)
    {
        if (Fault(name) is { } fault)
            throw new HubException(HubError.Refused, $"The Hub names a file '{Printable(name)}', which {fault}: nothing was written.");
        return Path.Combine([folder, .. name.Split('/')]);
    }

    private static string Printable(string name) => string.Concat(name.Take(200).Select(c => char.IsControl(c) ? '?' : c));
}
