namespace DiffusionGemma;

/// <summary>The kinds of failure that a <see cref="HubException"/> reports.</summary>
public enum HubError
{
    /// <summary>The licence of a gated repository is not accepted, or no token says who asks.</summary>
    Gated,

    /// <summary>The token is refused, or lacks a right.</summary>
    Unauthorized,

    /// <summary>No such repository, or a private one that the token does not open.</summary>
    RepositoryNotFound,

    /// <summary>The repository has no such branch, tag or commit.</summary>
    RevisionNotFound,

    /// <summary>The revision has no such file.</summary>
    FileNotFound,

    /// <summary>Not in the cache, and downloads are turned off.</summary>
    Offline,

    /// <summary>No connection, or one that broke off and could not be taken up again.</summary>
    Unreachable,

    /// <summary>Too many requests (429), however long was waited.</summary>
    RateLimited,

    /// <summary>The server failed (5xx) at every try.</summary>
    ServerFailed,

    /// <summary>A file has not the size or the hash that the Hub names.</summary>
    Corrupt,

    /// <summary>
    /// An answer that no Hub gives or that is not safe to act on: a file name out of its folder, a redirect to another scheme.
    /// </summary>
    Refused,

    /// <summary>The cache's disk has too little room.</summary>
    NoSpace,
}
