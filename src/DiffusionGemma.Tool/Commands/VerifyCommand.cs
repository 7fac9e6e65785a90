using System.CommandLine;
using Microsoft.ML;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Compares every byte of a model's files with their digests, where loading reads samples of large weight files.</summary>
internal static class VerifyCommand
{
    public static Command Create(CommandContext context)
    {
        var name = new Argument<string>("MODEL") { Description = ModelReference.Help };
        var command = new Command("verify", "Compares every byte of a model and of its checkpoint with the digests that came with them.")
        {
            name,
        };
        command.SetAction(async (parsed, _) =>
        {
            string model = parsed.GetValue(name)!;
            ModelReference reference = await ModelReference.FindAsync(model, context);
            context.Interruption.AtOnce = Interruption.Stopped;
            MLContext ml = LogLines.CreateContext(context.Output);
            await WorkProgress.RunAsync(context.Output, "verifying", _ => Stage.Model(() => Verify(ml, reference)));
            context.Output.Result($"{model}: every byte is as it was written", new { Event = "verified", Model = model });
            return ExitCode.Success;
        });
        return command;
    }

    private static bool Verify(MLContext ml, ModelReference reference)
    {
        if (reference.Zip is { } zip)
        {
            DiffusionGemmaCheckpoints.DownloadsOnLoad = true;
            (ml.Transforms.DiffusionGemma.Load(zip, out _, verify: true) as IDisposable)?.Dispose();
            return true;
        }
        CheckpointFiles.Verify(reference.Checkpoint!, []);
        if (reference.Adapter is not { } adapter) return true;
        // An adapter is checked where it is placed on its model.
        using DiffusionGemmaModel model = DiffusionGemmaModel.Load(reference.Checkpoint!, CPU);
        LoraAdapter.Load(adapter, model).Dispose();
        return true;
    }
}
