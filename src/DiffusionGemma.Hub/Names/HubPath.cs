using System.Diagnostics.CodeAnalysis;

namespace DiffusionGemma;

/// <summary>
/// Files of a repository by their address: <c>hf://datasets/org/name/folder/train-*.parquet</c>, or <c>hf://org/name/file</c> of a model,
/// with <c>@revision</c> behind the name where another than <c>main</c> is meant.
/// </summary>
/// <remarks>
/// In the path <c>*</c> and <c>?</c> stand for characters of one name, <c>**</c> for any number of folders. A path without them names a
/// file, or a folder with everything below it; no path at all is the whole repository.
/// </remarks>
public sealed record HubPath
{
    private const string Scheme = "hf://";
    private const string Datasets = "datasets/";

    private HubPath(HubId id, string path) => (Id, Path) = (id, path);

    /// <summary>The repository.</summary>
    public HubId Id { get; }

    /// <summary>The path or pattern in the repository, parted by <c>/</c>; may be empty.</summary>
    public string Path { get; }

    /// <summary>True for any text that begins with <c>hf://</c>, well formed or not.</summary>
    /// <param name="text">An address, or a path on this machine.</param>
    public static bool IsHubPath([NotNullWhen(true)] string? text) => text is not null && text.StartsWith(Scheme, StringComparison.Ordinal);

    /// <summary>Reads an address; nothing is looked up.</summary>
    /// <param name="text">The address.</param>
    /// <exception cref="ArgumentException">It is malformed, or its path leads out of the repository.</exception>
    public static HubPath Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!IsHubPath(text))
            throw Malformed(text, "it does not begin with hf://");
        string rest = text[Scheme.Length..];
        HubKind kind = rest.StartsWith(Datasets, StringComparison.Ordinal) ? HubKind.Dataset : HubKind.Model;
        if (rest.StartsWith("spaces/", StringComparison.Ordinal))
            throw Malformed(text, "spaces are not supported");
        string[] parts = rest[(kind == HubKind.Dataset ? Datasets.Length : 0)..].Split('/');
        if (parts.Length < 2)
            throw Malformed(text, "it names no repository");

        // A revision's slashes are written %2F, but not in the Hub's own references: @refs/convert/parquet, @refs/pr/1.
        int used = 2;
        string name = Uri.UnescapeDataString(parts[1]);
        if (name.EndsWith("@refs", StringComparison.Ordinal) && parts.Length >= 4 && parts[2] is "convert" or "pr")
        {
            name += $"/{parts[2]}/{parts[3]}";
            used = 4;
        }
        if (!HubId.TryParse($"{parts[0]}/{name}", out HubId? id, kind))
            throw Malformed(text, $"'{parts[0]}/{name}' is no repository");
        string path = string.Join('/', parts.Skip(used)).TrimEnd('/');
        if (path.Length > 0 && RepositoryFile.Fault(path) is { } fault)
            throw Malformed(text, $"its path {fault}");
        return new HubPath(id, path);
    }

    /// <summary>The address.</summary>
    public override string ToString()
    {
        string revision = Id.Revision == HubId.DefaultRevision ? "" : "@" + Uri.EscapeDataString(Id.Revision);
        return $"{Scheme}{(Id.Kind == HubKind.Dataset ? Datasets : "")}{Id.Repository}{revision}{(Path.Length > 0 ? "/" : "")}{Path}";
    }

    private static ArgumentException Malformed(string text, string fault) =>
        new($"'{text}' is no address of files on the Hub: {fault}. One is hf://datasets/org/name/path, for example "
            + "hf://datasets/openai/gsm8k/main/train-*.parquet.", nameof(text));
}
