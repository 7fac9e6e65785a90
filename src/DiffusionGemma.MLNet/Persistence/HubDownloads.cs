using Microsoft.ML.Runtime;

namespace DiffusionGemma;

/// <summary>Downloads what callers name by an id or address on the Hub, and reports to the log of the MLContext.</summary>
internal static class HubDownloads
{
    /// <summary>Finds a checkpoint's folder, which is downloaded where an id names it and it is not in the cache.</summary>
    /// <exception cref="HubException">The Hub does not give it.</exception>
    public static string FindCheckpoint(IHostEnvironment environment, string checkpoint)
    {
        ArgumentException.ThrowIfNullOrEmpty(checkpoint);
        return HubRepository.IsId(checkpoint)
            ? Run(environment, progress => HubRepository.DownloadAsync(checkpoint, DiffusionGemmaCheckpoints.Hub, progress)) : checkpoint;
    }

    /// <summary>Downloads a checkpoint.</summary>
    /// <exception cref="HubException">The Hub does not give it.</exception>
    public static string Download(IHostEnvironment environment, HubId id) =>
        Run(environment, progress => HubRepository.DownloadAsync(id, DiffusionGemmaCheckpoints.Hub, progress));

    /// <summary>Replaces addresses on the Hub by the files that they name, which are downloaded where they are not in the cache.</summary>
    /// <exception cref="ArgumentException">An address is malformed.</exception>
    /// <exception cref="HubException">The Hub does not give the files.</exception>
    public static string[] FindFiles(IHostEnvironment environment, IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return [.. paths.SelectMany(path => HubPath.IsHubPath(path) ? FindFiles(environment, HubPath.Parse(path)) : [path])];
    }

    private static IReadOnlyList<string> FindFiles(IHostEnvironment environment, HubPath files) =>
        Run(environment, progress => HubRepository.DownloadFilesAsync(files, DiffusionGemmaCheckpoints.Hub, progress));

    /// <summary>ML.NET's methods return when their work is done.</summary>
    private static T Run<T>(IHostEnvironment environment, Func<IProgress<HubProgress>, Task<T>> download)
    {
        using IChannel log = environment.Register(nameof(HubRepository)).Start("Download");
        return download(new HubLog(log)).GetAwaiter().GetResult();
    }
}
