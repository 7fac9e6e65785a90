using System.CommandLine;
using TorchSharp;

namespace DiffusionGemma;

/// <summary>Computes the memory that a recipe needs, before anything is loaded.</summary>
internal static class PlanCommand
{
    public static Command Create(CommandContext context)
    {
        Argument<string> path = RecipeArguments.Recipe;
        Option<int?> devices = CommonOptions.Number("--devices", "Devices that share the work (default: 1).", 1);
        Option<int?> tokens = CommonOptions.Number("--tokens", "Tokens of the longest row (default: the recipe's limit).", 1);
        Option<int?> workers = CommonOptions.Number("--workers", "Micro-batches at once on a CPU (default: the recipe's, or 1).", 1);
        Option<string> precision = CommonOptions.Choice(
            "--precision", "What is computed in, unless the recipe says.", "float32", "bfloat16");
        var command = new Command(
            "plan", "Computes the memory and the arithmetic of a recipe's run, before anything is loaded. Keys of the recipe may follow: "
                + "--KEY VALUE.")
        {
            path, devices, tokens, workers, precision,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(async (parsed, _) =>
        {
            context.Interruption.AtOnce = Interruption.Stopped;
            FineTuneRecipe recipe = RecipeArguments.Load(parsed.GetValue(path)!, parsed.UnmatchedTokens, null);
            foreach (string notice in recipe.Notices) context.Output.Say($"note: {notice}");
            DiffusionGemmaConfig config = await ConfigAsync(recipe.Checkpoint, context);
            int longest = parsed.GetValue(tokens) ?? recipe.MaxLength;
            if (longest > config.MaxPositionEmbeddings) throw new ToolException(
                ExitCode.Usage, ToolOutput.Text(
                    $"Rows of {longest} tokens have more than the {config.MaxPositionEmbeddings} positions of {recipe.Checkpoint}."));
            torch.ScalarType dtype = recipe.Options.Run.Precision
                ?? (parsed.GetValue(precision) == "bfloat16" ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32);
            TrainingPlan plan = TrainingPlan.Compute(
                config, recipe.Options, dtype, longest, parsed.GetValue(devices) ?? 1,
                recipe.Options.Parallel.ExpertParallel, parsed.GetValue(workers) ?? recipe.Options.Parallel.Workers ?? 1);
            long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            string verdict = ToolOutput.Text(
                $"{Size(plan.TotalBytes)} on each device; this machine has {Size(memory)} beside those of its GPUs.");
            context.Output.Result($"{plan.ToString().TrimEnd()}\n{verdict}", new
            {
                Event = "plan", plan.TotalBytes, MachineBytes = memory, plan.Parameters, plan.ExpertParameters, plan.TrainedParameters,
                plan.WeightBytes, plan.TrainingStateBytes, plan.ActivationBytes, plan.HeadBytes, plan.OverheadBytes, plan.StepFlops,
                plan.Devices,
            });
            return ExitCode.Success;
        });
        return command;
    }

    private static string Size(long bytes) =>
        bytes >= 1_000_000_000 ? ToolOutput.Text($"{bytes / 1e9:F1} GB") : ToolOutput.Text($"{bytes / 1e6:F1} MB");

    /// <summary>config.json alone: fifty gigabytes are not fetched for a plan.</summary>
    private static async Task<DiffusionGemmaConfig> ConfigAsync(string checkpoint, CommandContext context)
    {
        string folder = checkpoint;
        if (HubRepository.IsId(checkpoint)) folder = Path.GetDirectoryName(await HubRepository.DownloadFileAsync(
            HubId.Parse(checkpoint), "config.json", DiffusionGemmaCheckpoints.Hub, cancellation: context.Interruption.Token))!;
        return Stage.Model(() => DiffusionGemmaConfig.Load(folder));
    }
}
