using System.CommandLine;

namespace DiffusionGemma;

/// <summary>Downloads a checkpoint, an adapter or data files into the Hub's cache.</summary>
internal static class DownloadCommand
{
    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("ID")
        {
            Description = "org/name or org/name@revision, or files of a data set as hf://datasets/org/name/PATTERN.",
        };
        var command = new Command("download", "Downloads from the Hugging Face Hub into its cache, and prints where.") { name };
        command.SetAction((parsed, _) => RunAsync(context, parsed.GetValue(name)!));
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, string name)
    {
        if (HubPath.IsHubPath(name))
        {
            IReadOnlyList<string> files = await Downloads.FilesAsync(name, context);
            context.Output.Result(string.Join('\n', files), new { Event = "downloaded", Id = name, Files = files });
            return ExitCode.Success;
        }
        if (!HubRepository.IsId(name)) throw new ToolException(ExitCode.Usage, Directory.Exists(name)
            ? $"{name} is a folder here already."
            : $"'{name}' is no id: write org/name, org/name@revision, or hf://datasets/org/name/PATTERN.");
        string folder = await Downloads.CheckpointAsync(name, context);
        context.Output.Result(folder, new { Event = "downloaded", Id = name, Folder = folder });
        return ExitCode.Success;
    }
}
