using System.CommandLine;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Writes a checkpoint with an adapter in its weights.</summary>
internal static class MergeCommand
{
    private const long Gigabyte = 1_000_000_000;

    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        Option<string> output = CommonOptions.Path("--output", "The Hugging Face folder that is written.", "FOLDER");
        Option<double?> shard = CommonOptions.Real(
            "--max-shard-gb", "Largest size of one file in GB (default: as the checkpoint has them).", 0.001);
        var command = new Command("merge", "Writes a Hugging Face folder with a trained adapter in its weights: a model that needs none.")
        {
            name, output, shard,
        };
        command.SetAction(async (parsed, _) =>
        {
            string folder = parsed.GetValue(output)!;
            OutputFolders.RequireFree(folder);
            MLContext ml = LogLines.CreateContext(context.Output);
            using ToolModel model = await ToolModel.LoadAsync(ml, parsed.GetValue(name)!, TorchSharp.torch.CPU, context);
            LoraAdapter adapter = model.RequireAdapter();
            await WorkProgress.RunAsync(context.Output, "merging", _ =>
            {
                adapter.SaveMerged(model.Answers.Model, folder, (long?)(parsed.GetValue(shard) * Gigabyte));
                return true;
            });
            context.Output.Result(folder, new { Event = "merged", Folder = folder, adapter.Rank, Modules = adapter.Modules.Count });
            return ExitCode.Success;
        });
        return command;
    }
}
