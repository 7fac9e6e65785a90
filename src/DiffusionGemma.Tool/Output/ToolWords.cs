namespace DiffusionGemma;

/// <summary>
/// The library's messages in the words of the tool: they name an API's options and methods, where a user of the tool has keys of a recipe
/// and options of a command.
/// <code>
/// before   lower FineTuneOptions.GlobalBatchSize or give more rows
/// after    lower step_scheduler.global_batch_size or give more rows
/// </code>
/// </summary>
internal static class ToolWords
{
    /// <summary>Sentences before names, and longer names before those that they begin with.</summary>
    private static readonly (string Library, string Tool)[] Words =
    [
        (" Rows that were left out when they were loaded are warnings of MLContext.Log; GetSkippedChatRows lists them.", ""),
        ("load it by LoadChatFromParquet, or name it .parquet", "name it .parquet"),
        ("; TokenizeChat(escapeSpecialTokens: true) keeps them text", ""),
        (", or name what may differ in FineTuneOptions.Checkpoints.AcceptChanged", ", or name another checkpoint.checkpoint_dir"),
        ("Name another checkpoint in FineTuneOptions.Checkpoints.Resume", "Name another checkpoint.restore_from"),
        ("ame another folder in FineTuneOptions.Checkpoints", "ame another checkpoint.checkpoint_dir"),
        ("name it: torch.CPU as the device, or FineTuneOptions.Devices = [torch.CPU]", "ask for it: --device cpu"),
        ("that PEFT or LoraAdapter.Save wrote", "that PEFT or training wrote"),
        ("Load it without verify, or write the", "Write the"),
        ("SaveMerged's parameter original", "--original FOLDER"),
        ("PackCanvas' maxLength", "dataset.seq_length"),
        ("FineTuneOptions.Checkpoints.Resume", "checkpoint.restore_from"),
        ("FineTuneOptions.Checkpoints", "checkpoint.checkpoint_dir"),
        ("FineTuneOptions.Devices", "--device"),
        ("FineTuneOptions.Epochs", "step_scheduler.num_epochs"),
        ("FineTuneOptions.Evaluation.Answers", "--answers"),
        ("FineTuneOptions.Evaluation.Examples", "validation_dataset"),
        ("FineTuneOptions.Evaluation", "validation_dataset"),
        ("FineTuneOptions.GlobalBatchSize", "step_scheduler.global_batch_size"),
        ("FineTuneOptions.LearningRate", "optimizer.lr"),
        ("FineTuneOptions.Lora", "peft"),
        ("FineTuneOptions.MaxSteps", "step_scheduler.max_steps"),
        ("FineTuneOptions.OutputFolder", "checkpoint.checkpoint_dir"),
        ("FineTuneOptions.Parallel.ExpertParallel", "distributed.ep_size"),
        ("FineTuneOptions.Quantization", "quantization"),
        ("FineTuneOptions.Run.ActivationCheckpointing", "distributed.activation_checkpointing"),
        ("FineTuneOptions.Run.MicroBatchSize", "step_scheduler.local_batch_size"),
        ("FineTuneOptions.WarmupSteps", "lr_scheduler.lr_warmup_steps"),
        ("GenerationOptions.MaxNewTokens", "--max-new-tokens"),
        ("lower MaxNewTokens", "lower --max-new-tokens"),
        ("ChatOptions.Temperature", "--temperature"),
        ("(HubOptions.Endpoint or HF_ENDPOINT)", "(HF_ENDPOINT)"),
        ("the data view has none", "the file has none"),
        (", or set DiffusionGemmaCheckpoints.Resolver before loading", ""),
        ("LoraOptions.Rank", "peft.dim"),
        ("LoraOptions.Targets", "peft.target_modules"),
    ];

    /// <summary>Options as a run's checkpoint names them, without their group, and their keys.</summary>
    private static readonly (string Library, string Tool)[] Changed =
    [
        ("Rows", "dataset"), ("Steps", "step_scheduler.max_steps"), ("Seed", "seed"), ("Shuffle", "dataloader.shuffle"),
        ("GlobalBatchSize", "step_scheduler.global_batch_size"), ("MicroBatchSize", "step_scheduler.local_batch_size"),
        ("InitialLearningRate", "lr_scheduler.init_lr"), ("MinLearningRate", "lr_scheduler.min_lr"), ("LearningRate", "optimizer.lr"),
        ("WarmupSteps", "lr_scheduler.lr_warmup_steps"), ("Decay", "lr_scheduler.lr_decay_style"),
        ("DecayFraction", "lr_scheduler.wsd_decay_steps"), ("Beta1", "optimizer.betas"), ("Beta2", "optimizer.betas"),
        ("AdamEpsilon", "optimizer.eps"), ("WeightDecay", "optimizer.weight_decay"), ("MaxGradientNorm", "clip_grad_norm.max_norm"),
        ("EncoderLossWeight", "dllm.encoder_loss_weight"), ("SelfConditioningProbability", "dllm.self_conditioning_p"),
        ("NoiseFloor", "dllm.eps"), ("Lora", "peft"), ("Evaluation", "validation_dataset"), ("Quantization", "quantization"),
    ];

    /// <summary>Replaces the library's words.</summary>
    public static string Of(string message)
    {
        string text = Words.Aggregate(message, (text, word) => text.Replace(word.Library, word.Tool, StringComparison.Ordinal));
        return text.Contains(" cannot be resumed: ", StringComparison.Ordinal)
            ? Changed.Aggregate(text, (text, word) => text.Replace($" {word.Library} was ", $" {word.Tool} was ", StringComparison.Ordinal))
            : text;
    }
}
