using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace DiffusionGemma;

/// <summary>The name of a repository on the Hub and a revision of it: exactly <c>org/name</c> or <c>org/name@revision</c>.</summary>
public sealed partial record HubId
{
    /// <summary>The branch that is meant where no revision is named.</summary>
    public const string DefaultRevision = "main";

    private HubId(HubKind kind, string repository, string revision) => (Kind, Repository, Revision) = (kind, repository, revision);

    /// <summary>Model or data set.</summary>
    public HubKind Kind { get; }

    /// <summary><c>org/name</c>.</summary>
    public string Repository { get; }

    /// <summary>A branch, a tag or a commit.</summary>
    public string Revision { get; private init; }

    /// <summary>True if <see cref="Revision"/> is a commit, 40 hexadecimal digits, which never changes.</summary>
    public bool IsCommit => IsCommitHash(Revision);

    /// <summary>Reads an id; nothing is looked up.</summary>
    /// <param name="text"><c>org/name</c> or <c>org/name@revision</c>.</param>
    /// <param name="id">The id, where the text is one.</param>
    /// <param name="kind">The kind of repository that is meant.</param>
    /// <returns>False if the text has another form.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out HubId? id, HubKind kind = HubKind.Model)
    {
        id = null;
        if (text is null)
            return false;
        int at = text.IndexOf('@');
        string repository = at < 0 ? text : text[..at], revision = at < 0 ? DefaultRevision : text[(at + 1)..];
        if (!IsRepository(repository) || !IsRevision(revision))
            return false;
        id = new HubId(kind, repository, revision);
        return true;
    }

    /// <summary>Reads an id; nothing is looked up.</summary>
    /// <param name="text"><c>org/name</c> or <c>org/name@revision</c>.</param>
    /// <param name="kind">The kind of repository that is meant.</param>
    /// <exception cref="ArgumentException">The text has another form.</exception>
    public static HubId Parse(string text, HubKind kind = HubKind.Model)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParse(text, out HubId? id, kind)
            ? id
            : throw new ArgumentException($"'{text}' is no id of the Hub: one is org/name or org/name@revision, for example "
            + "google/diffusiongemma-26B-A4B-it.",
                nameof(text));
    }

    /// <summary>The id of a snapshot in a cache, with its commit as the revision.</summary>
    /// <param name="folder">A folder such as <c>.../models--org--name/snapshots/COMMIT</c>; it need not be there.</param>
    /// <param name="id">The id, where the folder is such a one.</param>
    public static bool TryFromSnapshot(string folder, [NotNullWhen(true)] out HubId? id)
    {
        ArgumentNullException.ThrowIfNull(folder);
        id = null;
        string[] parts = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))
            .Split(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar);
        if (parts.Length < 3 || parts[^2] != "snapshots" || !IsCommitHash(parts[^1]))
            return false;
        string[] name = parts[^3].Split("--");
        if (name.Length != 3 || name[0] is not ("models" or "datasets"))
            return false;
        HubKind kind = name[0] == "models" ? HubKind.Model : HubKind.Dataset;
        return TryParse($"{name[1]}/{name[2]}@{parts[^1]}", out id, kind);
    }

    /// <summary>The same repository at another revision.</summary>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <exception cref="ArgumentException">Git would not take the text for a revision.</exception>
    public HubId At(string revision)
    {
        ArgumentNullException.ThrowIfNull(revision);
        return IsRevision(revision) ? this with { Revision = revision }
            : throw new ArgumentException($"'{revision}' is no revision.", nameof(revision));
    }

    /// <summary><c>org/name</c>, with <c>@revision</c> where that is not the default; a data set's begins with <c>datasets/</c>.</summary>
    public override string ToString() =>
        (Kind == HubKind.Dataset ? "datasets/" : "") + Repository + (Revision == DefaultRevision ? "" : "@" + Revision);

    internal static bool IsCommitHash(string text) => CommitPattern().IsMatch(text);

    /// <summary>
    /// The repository's rules are the Hub's own: such a name is a safe folder name on every system, and "--" can part its two halves.
    /// </summary>
    private static bool IsRepository(string text)
    {
        string[] parts = text.Split('/');
        return parts.Length == 2 && parts.All(part => NamePattern().IsMatch(part) && !part.Contains("--") && !part.Contains(".."))
            && !text.EndsWith(".git");
    }

    /// <summary>Git's rules for a reference, and no characters that a file system could take for anything but a name.</summary>
    private static bool IsRevision(string text) =>
        text.Length is > 0 and <= 200 && text.Split('/')
            .All(part => RevisionPattern().IsMatch(part) && !part.Contains("..") && !part.EndsWith(".lock"));

    [GeneratedRegex(@"^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?\z")]
    private static partial Regex NamePattern();

    [GeneratedRegex(@"^[A-Za-z0-9_+=-](?:[A-Za-z0-9._+=-]*[A-Za-z0-9_+=-])?\z")]
    private static partial Regex RevisionPattern();

    [GeneratedRegex(@"^[0-9a-f]{40}\z")]
    private static partial Regex CommitPattern();
}
