namespace DiffusionGemma;

/// <summary>Downloads from the Hub with their progress on standard error.</summary>
internal static class Downloads
{
    private static HubOptions? Options => DiffusionGemmaCheckpoints.Hub;

    /// <summary>A checkpoint's folder; a commit that is in the cache is not asked for.</summary>
    /// <exception cref="HubException">The Hub does not give it.</exception>
    public static Task<string> CheckpointAsync(string id, CommandContext context) =>
        HubId.Parse(id).IsCommit && HubRepository.TryFindCached(id, out string? folder, Options)
            ? Task.FromResult(folder)
            : RunAsync(id, context, progress => HubRepository.DownloadAsync(id, Options, progress, context.Interruption.Token));

    /// <summary>Files of a data set.</summary>
    /// <exception cref="ToolException">The Hub does not give them.</exception>
    public static async Task<IReadOnlyList<string>> FilesAsync(string address, CommandContext context)
    {
        try
        {
            return await RunAsync(address, context,
                progress => HubRepository.DownloadFilesAsync(HubPath.Parse(address), Options, progress, context.Interruption.Token));
        }
        catch (HubException error)
        {
            throw new ToolException(ExitCode.Data, error.Message, error);
        }
    }

    private static Task<T> RunAsync<T>(string name, CommandContext context, Func<IProgress<HubProgress>, Task<T>> download) =>
        WorkProgress.RunAsync(context.Output, name, progress =>
            download(new Listener(progress, context.Output, name)).GetAwaiter().GetResult());

    private sealed class Listener(WorkProgress progress, ToolOutput output, string name) : IProgress<HubProgress>
    {
        public void Report(HubProgress value)
        {
            if (value.Notice is { } notice) output.Say($"note: {notice}");
            else progress.Report(value.Bytes, value.TotalBytes, $"{name}: {value}");
        }
    }
}
