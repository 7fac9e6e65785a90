using System.CommandLine;
using Microsoft.ML;

namespace DiffusionGemma;

/// <summary>Writes the adapter of a saved model in PEFT's format.</summary>
internal static class ExportCommand
{
    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = "A zip that training saved, or the folder of a run." };
        Option<string> output = CommonOptions.Path("--output", "The folder that is written.", "FOLDER");
        Option<string?> baseModel = CommonOptions.Text(
            "--base-model", "What PEFT is to load the base from (default: the checkpoint that was trained on).", "FOLDER|ID");
        var command = new Command("export", "Writes the adapter of a saved model as a folder that PEFT and transformers read.")
        {
            name, output, baseModel,
        };
        command.SetAction(async (parsed, _) =>
        {
            string folder = parsed.GetValue(output)!;
            OutputFolders.RequireFree(folder);
            context.Interruption.AtOnce = () => OutputFolders.Stopped(folder);
            MLContext ml = LogLines.CreateContext(context.Output);
            using ToolModel model = await ToolModel.LoadAsync(ml, parsed.GetValue(name)!, TorchSharp.torch.CPU, context);
            LoraAdapter adapter = model.RequireAdapter();
            if (!model.IsSavedPipeline)
                throw new ToolException(ExitCode.Usage, $"{parsed.GetValue(name)} is an adapter in PEFT's format already.");
            OutputFolders.Write(folder, () =>
            {
                model.Answers.SaveAdapter(folder, parsed.GetValue(baseModel));
                return true;
            });
            context.Output.Result(folder, new
            {
                Event = "exported", Folder = folder, adapter.Rank, adapter.Alpha, Modules = adapter.Modules.Count, adapter.ParameterCount,
            });
            return ExitCode.Success;
        });
        return command;
    }
}
