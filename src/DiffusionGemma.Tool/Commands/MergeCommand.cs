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
        Option<string?> original = CommonOptions.Text(
            "--original", "The unquantised folder that the model's weights were made of, where they are quantised: it is merged into.",
            "FOLDER");
        var command = new Command("merge", "Writes a Hugging Face folder with a trained adapter in its weights: a model that needs none.")
        {
            name, output, shard, original,
        };
        command.SetAction(async (parsed, _) =>
        {
            string folder = parsed.GetValue(output)!;
            OutputFolders.RequireFree(folder);
            context.Interruption.AtOnce = () => OutputFolders.Stopped(folder);
            MLContext ml = LogLines.CreateContext(context.Output);
            using ToolModel model = await ToolModel.LoadAsync(ml, parsed.GetValue(name)!, TorchSharp.torch.CPU, context);
            LoraAdapter adapter = model.RequireAdapter();
            foreach (string file in model.ChangedTextFiles())
                context.Output.Say($"note: {file} of {model.Answers.Model.Folder} is not the one that the model was saved with, and goes "
                    + "into the merged folder as it is: if it was not meant to change, put it back, and merge again.");
            var shardBytes = (long?)(parsed.GetValue(shard) * Gigabyte);
            string? into = parsed.GetValue(original);
            await WorkProgress.RunAsync(context.Output, "merging", _ => OutputFolders.Write(folder, () =>
            {
                try
                {
                    if (into is null) adapter.SaveMerged(model.Answers.Model, folder, shardBytes);
                    else adapter.SaveMerged(model.Answers.Model, folder, into, shardBytes);
                }
                catch (InvalidOperationException error)
                {
                    throw new ToolException(ExitCode.Usage, FailureKind.MessageOf(error), error);
                }
                return true;
            }));
            context.Output.Result(folder, new { Event = "merged", Folder = folder, adapter.Rank, Modules = adapter.Modules.Count });
            return ExitCode.Success;
        });
        return command;
    }
}
