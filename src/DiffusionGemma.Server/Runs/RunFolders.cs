namespace DiffusionGemma;

/// <summary>
/// The runs of a folder: the folder itself and those directly in it, where a report (history.csv) lies in them or in their folder
/// <c>report</c>. A run is found by its name among them; a request's text never becomes a path.
/// </summary>
/// <param name="root">The folder; runs may appear in it at any time.</param>
internal sealed class RunFolders(string root)
{
    private const string Report = "report";

    private readonly string _root = Path.GetFullPath(root);

    /// <summary>Names of the runs, the one with the newest step first.</summary>
    public IReadOnlyList<string> Names() =>
    [
        .. Find().OrderByDescending(run => File.GetLastWriteTimeUtc(Path.Combine(run.Folder, RunTables.HistoryFile)))
            .Select(run => run.Name).Distinct(),
    ];

    /// <summary>The report's folder of a run; null where there is no such run.</summary>
    public string? Folder(string name) => Find().FirstOrDefault(run => run.Name == name).Folder;

    private string[] Folders()
    {
        try
        {
            return Directory.GetDirectories(_root);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not there yet, it has gone, or it is not to be read: no runs.
            return [];
        }
    }

    private IEnumerable<(string Name, string Folder)> Find()
    {
        foreach (string run in Folders().Prepend(_root))
        {
            foreach (string report in (string[])[Path.Combine(run, Report), run])
            {
                // The report of the folder itself is not a run in it too.
                if (run != _root && Path.GetFileName(run) == Report && File.Exists(Path.Combine(run, RunTables.HistoryFile))) break;
                if (!File.Exists(Path.Combine(report, RunTables.HistoryFile))) continue;
                yield return (Path.GetFileName(Path.TrimEndingDirectorySeparator(run)), report);
                break;
            }
        }
    }
}
