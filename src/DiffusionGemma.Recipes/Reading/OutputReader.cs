namespace DiffusionGemma;

/// <summary>Reads the section <c>checkpoint</c>, and how often held-out rows are measured.</summary>
internal sealed class OutputReader(RecipeValues values, RecipeFolders folders, ICollection<string> notices)
{
    private const string DefaultFolder = "checkpoints/";            // CheckpointingConfig's
    private const string WeightsFolder = "model";
    private const string LatestKeyword = "LATEST";

    /// <summary>The folder that the recipe names, where everything is written.</summary>
    public string Folder => folders.Output(values.Text("checkpoint.checkpoint_dir") ?? DefaultFolder);

    /// <summary>False: nothing is written but the weights of a full fine-tuning.</summary>
    public bool IsEnabled => values.Boolean("checkpoint.enabled") ?? true;

    /// <summary>The options with folders.</summary>
    public FineTuneOptions AddTo(FineTuneOptions options)
    {
        values.Choice("checkpoint.model_save_format", "safetensors");
        string? consolidated = ReadConsolidated();
        bool isFull = options.Lora is null;
        if (isFull && !IsEnabled)
            notices.Add($"checkpoint.enabled is false: no checkpoints are written, but fully trained weights go to {WeightsFolder} in "
                + $"{Folder} all the same, since nothing else keeps them.");
        else if (isFull && consolidated == "false")
            notices.Add("checkpoint.save_consolidated is false: the trained weights are written as one Hugging Face folder all the same, "
                + "since nothing else keeps them.");
        else if (isFull && consolidated is "true" or "every")
            notices.Add("checkpoint.save_consolidated: a Hugging Face folder is written at the end; the checkpoints before it are for "
                + "going on.");
        return options with
        {
            OutputFolder = isFull ? Path.Combine(Folder, WeightsFolder) : null,
            Checkpoints = IsEnabled ? ReadCheckpoints() : null,
        };
    }

    private RunCheckpointOptions ReadCheckpoints()
    {
        string? from = values.Text("checkpoint.restore_from");
        string resume = from is null || from.Equals(LatestKeyword, StringComparison.OrdinalIgnoreCase) ? RunCheckpointOptions.Latest : from;
        var options = new RunCheckpointOptions { Folder = Folder, Resume = resume };
        return values.Integer("step_scheduler.ckpt_every_steps") is int steps ? options with { EverySteps = steps } : options;
    }

    private string? ReadConsolidated()
    {
        const string Key = "checkpoint.save_consolidated";
        if (values.Find(Key) is { } node && RecipeScalar.ToBoolean(node) is bool value) return value ? "true" : "false";
        return values.Choice(Key, "final", "every", "true", "false");
    }
}
