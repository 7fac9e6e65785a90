namespace DiffusionGemma;

/// <summary>The keys of NeMo AutoModel's recipes for DiffusionGemma, and what becomes of each.</summary>
internal static class RecipeKeys
{
    private const string Kernels = "kernels and dispatch are the library's own";
    private const string Layout = "experts are split over the ranks and everything else is replicated; results do not depend on it";
    private const string MasterWeights = "master weights and the sum of gradients are float32 in any case";
    private const string Loading = "rows are packed once and batches are made ahead of the step, in this process";
    private const string Checkpoints = "a checkpoint is a folder with whole safetensors, written between two steps";
    private const string Collection = "memory is freed by scope and not by a garbage collector";
    private const string Tracking = "the run's history has the losses, and DiffusionGemma.Reports writes TensorBoard's event files of it";
    private const string BitsAndBytes = "it is for bitsandbytes: weights are rounded by Quantization.Int4";
    private const string Python = "it names Python code, which has its counterpart here";

    /// <summary>All keys, section by section.</summary>
    public static IReadOnlyList<RecipeKey> All { get; } =
    [
        Used("recipe", "DiffusionGemmaSFTRecipe, the one that is known here"),
        Used("seed", "FineTuneOptions.Seed"),
        Used("rng.seed", "FineTuneOptions.Seed, where the recipe has no seed"),
        Noticed("rng._target_", Python),
        Noticed("rng.ranked", "draws depend on the row and not on the rank"),

        Used("step_scheduler.global_batch_size", "FineTuneOptions.GlobalBatchSize"),
        Used("step_scheduler.local_batch_size", "RunOptions.MicroBatchSize"),
        Used("step_scheduler.max_steps", "FineTuneOptions.MaxSteps"),
        Used("step_scheduler.num_epochs", "FineTuneOptions.Epochs; unset: as many as max_steps takes, or 10"),
        Used("step_scheduler.ckpt_every_steps", "RunCheckpointOptions.EverySteps; the newest two are kept"),
        Used("step_scheduler.val_every_steps", "EvaluationOptions.EverySteps, with a validation_dataset"),
        Noticed("step_scheduler.log_remote_every_steps", "every step is recorded"),
        Noticed("step_scheduler.save_checkpoint_every_epoch", "checkpoints come every ckpt_every_steps, at the end and on cancellation"),
        Noticed("step_scheduler.validate_on_checkpoint", "held-out rows are measured every val_every_steps and at the end"),
        Noticed("step_scheduler.loss_average_window_steps", "every step is recorded as it is; curves smooth it"),
        Noticed("step_scheduler.gc_every_steps", Collection),
        Noticed("step_scheduler.preemption_signal", "a cancelled run writes a checkpoint"),

        Noticed("dist_env.backend", "ranks on CUDA use NCCL, ranks on a CPU shared memory or MPI"),
        Used("dist_env.timeout_minutes", "ParallelismOptions.CollectiveTimeout"),

        NoticedWhole("wandb", Tracking),
        NoticedWhole("mlflow", Tracking),
        NoticedWhole("comet", Tracking),
        NoticedWhole("ci", "it is for the reference's own tests"),

        Noticed("model._target_", Python),
        Used("model.pretrained_model_name_or_path", "the checkpoint: a folder, or an id on the Hub"),
        Used("model.revision", "the revision of an id on the Hub"),
        Noticed("model.torch_dtype", MasterWeights),
        Used("model.canvas_length", "must be the checkpoint's"),
        Used("model.self_conditioning", "false: ObjectiveOptions.SelfConditioningProbability = 0"),
        Used("model.freeze_router", "must be true: the router is not trained"),
        Noticed("model.attn_implementation", Kernels),
        Noticed("model.trust_remote_code", "no code is loaded from a checkpoint"),
        Noticed("model.use_liger_kernel", Kernels),
        Noticed("model.cache_dir", "the Hub's cache is where HF_HOME and HF_HUB_CACHE say"),
        .. Section("model.backend", Kernels, "_target_", "attn", "linear", "rms_norm", "experts", "dispatcher", "rope_fusion",
            "enable_hf_state_dict_adapter", "enable_fsdp_optimizations", "enable_deepep", "fake_balanced_gate", "gate_precision", "te_fp8"),

        Noticed("peft._target_", Python),
        Used("peft.match_all_linear", "must be false: target_modules name what is adapted"),
        Used("peft.target_modules", "LoraOptions.Targets: names or patterns with *"),
        Used("peft.exclude_modules", "must be empty: target_modules name what is adapted"),
        Used("peft.dim", "LoraOptions.Rank (8)"),
        Used("peft.alpha", "LoraOptions.Alpha (32)"),
        Used("peft.dropout", "LoraOptions.Dropout, on the input of A"),
        Noticed("peft.dropout_position", "dropout is on the input of A, where PEFT has it"),
        Used("peft.lora_A_init", "LoraOptions.Initialization: xavier, or uniform for PEFT's"),
        Used("peft.use_dora", "must be false"),
        Noticed("peft.lora_dtype", MasterWeights),
        Noticed("peft.use_triton", Kernels),
        Noticed("peft.use_memory_efficient_lora", Kernels),

        Used("quantization.load_in_4bit", "FineTuneOptions.Quantization: Int4, and not bitsandbytes' NF4; with peft alone"),
        Used("quantization.load_in_8bit", "FineTuneOptions.Quantization: Int8; with peft alone"),
        .. Section("quantization", BitsAndBytes, "bnb_4bit_compute_dtype", "bnb_4bit_use_double_quant", "bnb_4bit_quant_type",
            "bnb_4bit_quant_storage"),

        NoticedWhole("loss_fn", "the loss is the recipe's own: cross-entropy of the drawn canvas, and the encoder's"),

        Used("checkpoint.enabled", "FineTuneOptions.Checkpoints, and the folders of what was trained"),
        Used("checkpoint.checkpoint_dir", "RunCheckpointOptions.Folder; the trained model goes to a folder in it"),
        Used("checkpoint.model_save_format", "must be safetensors"),
        Used("checkpoint.save_consolidated", "final: the trained weights as one Hugging Face folder, which is what is written in any case"),
        Used("checkpoint.restore_from", "RunCheckpointOptions.Resume; unset or LATEST: the newest of checkpoint_dir"),
        Noticed("checkpoint.is_async", Checkpoints),
        Noticed("checkpoint.staging_dir", Checkpoints),
        Noticed("checkpoint.single_rank_consolidation", Checkpoints),
        Noticed("checkpoint.v4_compatible", "config.json is copied from the checkpoint as it is"),
        Noticed("checkpoint.model_cache_dir", "the Hub's cache is where HF_HOME and HF_HUB_CACHE say"),
        Noticed("checkpoint.best_metric_key", "the newest checkpoints are kept"),

        Noticed("distributed._target_", Python),
        Noticed("distributed.strategy", Layout),
        Noticed("distributed.dp_size", Layout),
        Noticed("distributed.dp_replicate_size", Layout),
        Noticed("distributed.tp_size", Layout),
        Noticed("distributed.cp_size", Layout),
        Noticed("distributed.pp_size", Layout),
        Used("distributed.ep_size", "ParallelismOptions.ExpertParallel; beyond the ranks there are: the largest number that divides them"),
        Noticed("distributed.sequence_parallel", Layout),
        Used("distributed.activation_checkpointing", "RunOptions.ActivationCheckpointing"),
        Noticed("distributed.defer_fsdp_grad_sync", Layout),
        Noticed("distributed.offload_policy", "optimiser state stays on the devices, shared out over the ranks"),
        Used("distributed.autocast_dtype", "RunOptions.Precision: bfloat16 on CUDA; a CPU computes in float32"),
        .. Section("distributed.mp_policy", MasterWeights,
            "_target_", "param_dtype", "reduce_dtype", "output_dtype", "cast_forward_inputs"),
        NoticedWhole("distributed.moe", Layout),

        Used("dllm.mode", "must be block_diffusion"),
        Used("dllm.block_size", "must be the checkpoint's canvas length"),
        Used("dllm.pad_block_size", "must be the checkpoint's canvas length"),
        Used("dllm.vocab_size", "must be the checkpoint's"),
        Used("dllm.pad_seq_len_divisible", "PackCanvas' padMultiple"),
        Used("dllm.eps", "ObjectiveOptions.NoiseFloor"),
        Used("dllm.encoder_loss_weight", "ObjectiveOptions.EncoderLossWeight"),
        Used("dllm.self_conditioning_p", "ObjectiveOptions.SelfConditioningProbability"),
        Used("dllm.supervise_padding", "must be false"),
        Noticed("dllm.mask_token_id", "DiffusionGemma has no mask token"),
        Noticed("dllm.half_life_ratio", "it is for masked diffusion"),

        Used("optimizer._target_", "must be torch.optim.AdamW"),
        Used("optimizer.lr", "FineTuneOptions.LearningRate (0.001)"),
        Used("optimizer.betas", "OptimizerOptions.Beta1 and Beta2 (0.9, 0.999)"),
        Used("optimizer.eps", "OptimizerOptions.AdamEpsilon (1e-8)"),
        Used("optimizer.weight_decay", "OptimizerOptions.WeightDecay (0.01)"),
        Used("optimizer.amsgrad", "must be false"),
        Noticed("optimizer.fused", Kernels),
        Noticed("optimizer.foreach", Kernels),

        Used("clip_grad_norm.max_norm", "OptimizerOptions.MaxGradientNorm (1)"),

        Noticed("lr_scheduler._target_", Python),
        Used("lr_scheduler.lr_warmup_steps", "FineTuneOptions.WarmupSteps; unset: a tenth of max_steps, at most 1000"),
        Used("lr_scheduler.lr_decay_style", "OptimizerOptions.Decay: cosine, linear, constant or WSD"),
        Used("lr_scheduler.lr_decay_steps", "must be max_steps"),
        Used("lr_scheduler.init_lr", "OptimizerOptions.InitialLearningRate; unset: a tenth of lr"),
        Used("lr_scheduler.max_lr", "must be lr"),
        Used("lr_scheduler.min_lr", "OptimizerOptions.MinLearningRate; unset: a hundredth of lr"),
        Used("lr_scheduler.start_wd", "must be weight_decay"),
        Used("lr_scheduler.end_wd", "must be weight_decay"),
        Noticed("lr_scheduler.wd_incr_steps", "the weight decay is constant"),
        Used("lr_scheduler.wd_incr_style", "must be constant"),
        Used("lr_scheduler.wsd_decay_steps", "OptimizerOptions.DecayFraction, as a part of max_steps"),
        Used("lr_scheduler.lr_wsd_decay_style", "must be linear"),
        Noticed("lr_scheduler.use_checkpoint_opt_param_scheduler", "a run that is resumed goes on with its own schedule"),
        Noticed("lr_scheduler.override_opt_param_scheduler", "a run that is resumed goes on with its own schedule"),

        .. Dataset("dataset"),
        .. Dataloader("dataloader"),
        .. Dataset("validation_dataset"),
        .. Dataloader("validation_dataloader"),
    ];

    private static RecipeKey[] Dataset(string section) =>
    [
        Used($"{section}._target_", "must be ChatDataset"),
        Used($"{section}.path_or_dataset_id", "files of JSON Lines or parquet, a data set's id on the Hub, or hf:// addresses"),
        Used($"{section}.name", "the folder of a data set on the Hub"),
        Used($"{section}.split", "the first part of the names of a data set's files, and the slice of its rows: train[:1000]"),
        Noticed($"{section}.shuffle_seed", "rows are visited in the order of seed and epoch"),
        Used($"{section}.seq_length", "PackCanvas' maxLength (1024)"),
        Noticed($"{section}.truncation", "rows beyond seq_length are cut and counted"),
        Noticed($"{section}.padding", "rows are padded by dllm.pad_seq_len_divisible"),
        Used($"{section}.unshifted", "must be true"),
        Used($"{section}.mask_history", "MaskResponse: the last turn alone is trained"),
        Used($"{section}.chat_template", "TokenizeChat's chatTemplate; a file that is not there: the checkpoint's own"),
        Noticed($"{section}.start_of_turn_token", "the chat template says where a turn starts"),
        NoticedWhole($"{section}.tokenizer", "the tokenizer is the checkpoint's"),
    ];

    private static RecipeKey[] Dataloader(string section) =>
    [
        Noticed($"{section}._target_", Python),
        Noticed($"{section}.collate_fn", "rows are packed into canvases"),
        section == "dataloader"
            ? Used($"{section}.shuffle", "RunOptions.Shuffle")
            : Noticed($"{section}.shuffle", "held-out rows are measured together"),
        Noticed($"{section}.batch_size", "step_scheduler.local_batch_size says it"),
        Noticed($"{section}.drop_last", "an incomplete last batch of an epoch is dropped"),
        Noticed($"{section}.group_by_length", "rows of similar length share micro-batches in any case"),
        .. new[] { "num_workers", "pin_memory", "persistent_workers", "prefetch_factor" }.Select(key =>
            Noticed($"{section}.{key}", Loading)),
    ];

    private static IEnumerable<RecipeKey> Section(string section, string reason, params string[] keys) =>
        keys.Select(key => Noticed($"{section}.{key}", reason));

    private static RecipeKey Used(string path, string meaning) => new(path, RecipeKeyUse.Used, meaning);

    private static RecipeKey Noticed(string path, string reason) => new(path, RecipeKeyUse.Noticed, reason);

    private static RecipeKey NoticedWhole(string path, string reason) => new(path, RecipeKeyUse.NoticedWhole, reason);
}
