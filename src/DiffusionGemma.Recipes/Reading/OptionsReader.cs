using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Reads the sections that become <see cref="FineTuneOptions"/>.</summary>
internal sealed class OptionsReader(RecipeValues values, ICollection<string> notices, IReadOnlyList<Device>? devices)
{
    private const double DefaultLearningRate = 1e-3;            // torch.optim.AdamW's, as the next three
    private const double DefaultBeta1 = 0.9, DefaultBeta2 = 0.999;
    private const double DefaultEpsilon = 1e-8;
    private const double DefaultWeightDecay = 0.01;
    private const int DefaultRank = 8;                          // PeftConfig's, as the next
    private const double DefaultAlpha = 32;
    private const int DefaultEpochs = 10;                       // StepScheduler's
    private const int MostWarmup = 1000, DefaultWarmup = 25;

    public FineTuneOptions Read()
    {
        CheckFixed();
        int? maxSteps = values.Integer("step_scheduler.max_steps");
        double rate = values.Number("optimizer.lr", Positive, "must be positive") ?? DefaultLearningRate;
        var defaults = new FineTuneOptions();
        return new FineTuneOptions
        {
            Lora = ReadLora(),
            Quantization = ReadQuantization(),
            MaxSteps = maxSteps,
            Epochs = ReadEpochs(maxSteps),
            GlobalBatchSize = values.Integer("step_scheduler.global_batch_size") ?? defaults.GlobalBatchSize,
            LearningRate = rate,
            WarmupSteps = ReadWarmup(maxSteps),
            Seed = values.Integer("seed", least: int.MinValue) ?? values.Integer("rng.seed", least: int.MinValue),
            Devices = devices,
            Optimizer = ReadOptimizer(rate, maxSteps),
            Objective = ReadObjective(defaults.Objective),
            Parallel = ReadParallel(),
            Run = ReadRun(defaults.Run),
        };
    }

    /// <summary>Values that can only be what they are.</summary>
    private void CheckFixed()
    {
        if (values.Text("recipe") is { } recipe && recipe.Split('.')[^1] != "DiffusionGemmaSFTRecipe")
            values.Fault("recipe", $"'{recipe}' is another recipe: DiffusionGemmaSFTRecipe is the one that is known here");
        values.Require("model.freeze_router", true, "the router is not trained");
        values.Choice("dllm.mode", "block_diffusion");
        values.Require("dllm.supervise_padding", false, "the fill of the last canvas alone is supervised");
        if (values.Text("optimizer._target_") is { } target && target.Split('.')[^1] is not ("AdamW" or "FusedAdam"))
            values.Fault("optimizer._target_", $"'{target}' is not known here: torch.optim.AdamW is");
        values.Require("optimizer.amsgrad", false, "AdamW without it is what is known here");
    }

    private LoraOptions? ReadLora()
    {
        if (!values.Has("peft")) return null;
        values.Require("peft.match_all_linear", false, "name what is adapted in peft.target_modules");
        values.Require("peft.use_dora", false, "low-rank pairs alone are known here");
        if (values.Find("peft.exclude_modules") is { Items.Count: > 0 } or { Kind: RecipeNodeKind.Scalar })
            values.Fault("peft.exclude_modules", "is not supported: name what is adapted in peft.target_modules");
        // The reference adapts "*_proj" where nothing is named, which are these.
        bool isNamed = values.Find("peft.target_modules") is { } named && (named.Kind != RecipeNodeKind.List || named.Items.Count > 0);
        double dropout = values.Number("peft.dropout", value => value is >= 0 and < 1, "must be in [0,1)") ?? 0;
        if (dropout > 0 && values.Boolean("distributed.activation_checkpointing") == true)
        {
            values.Fault("peft.dropout", "does not go with distributed.activation_checkpointing, whose second pass would drop other "
                + "numbers: turn one of the two off");
        }
        return new LoraOptions
        {
            Rank = values.Integer("peft.dim") ?? DefaultRank,
            Alpha = values.Number("peft.alpha", Positive, "must be positive") ?? DefaultAlpha,
            Targets = isNamed ? values.Texts("peft.target_modules") ?? new LoraOptions().Targets : new LoraOptions().Targets,
            Dropout = dropout,
            Initialization = values.Choice("peft.lora_A_init", "xavier", "uniform", "kaiming") is null or "xavier"
                ? LoraInitialization.XavierNormal : LoraInitialization.KaimingUniform,
        };
    }

    /// <summary>AutoModel's section for QLoRA; it gives 4 bits the precedence too.</summary>
    private Quantization ReadQuantization()
    {
        const string Four = "quantization.load_in_4bit", Eight = "quantization.load_in_8bit";
        bool isFour = values.Boolean(Four) ?? false, isEight = values.Boolean(Eight) ?? false;
        if (!isFour && !isEight) return Quantization.None;
        if (!values.Has("peft"))
            values.Fault(isFour ? Four : Eight, "needs peft: quantised weights do not train, only an adapter over them does");
        notices.Add(
            isFour ? $"{Four}: weights are rounded to Int4, with a scale for 32 numbers, and not to bitsandbytes' NF4: losses are others."
                : $"{Eight}: weights are rounded to Int8, and activations, unlike bitsandbytes', are not: losses are others.");
        return isFour ? Quantization.Int4 : Quantization.Int8;
    }

    private int? ReadEpochs(int? maxSteps)
    {
        if (values.Integer("step_scheduler.num_epochs") is int epochs) return epochs;
        if (maxSteps is not null) return null;                                                  // as many as max_steps takes
        notices.Add($"step_scheduler has neither max_steps nor num_epochs: {DefaultEpochs} epochs are trained.");
        return DefaultEpochs;
    }

    private int ReadWarmup(int? maxSteps)
    {
        const string Key = "lr_scheduler.lr_warmup_steps";
        if (!values.Has("lr_scheduler")) return 0;
        int? warmup = values.Integer(Key, least: 0);
        if (warmup >= maxSteps) values.Fault(Key, $"{warmup} must be less than max_steps, which is {maxSteps}");
        return warmup ?? Math.Min(MostWarmup, (maxSteps ?? 10 * DefaultWarmup) / 10);
    }

    private OptimizerOptions ReadOptimizer(double rate, int? maxSteps)
    {
        double[] betas = values.Numbers("optimizer.betas", 2, value => value is >= 0 and < 1, "must be in [0,1)")
            ?? [DefaultBeta1, DefaultBeta2];
        double decay = values.Number("optimizer.weight_decay", NotNegative, "must not be negative") ?? DefaultWeightDecay;
        RequireEqual("lr_scheduler.start_wd", decay, "optimizer.weight_decay");
        RequireEqual("lr_scheduler.end_wd", decay, "optimizer.weight_decay");
        RequireEqual("lr_scheduler.max_lr", rate, "optimizer.lr");
        values.Choice("lr_scheduler.wd_incr_style", "constant");
        bool isScheduled = values.Has("lr_scheduler");
        (LearningRateDecay style, double fraction) = ReadDecay(isScheduled, maxSteps);
        return new OptimizerOptions
        {
            InitialLearningRate = isScheduled ? ReadRate("lr_scheduler.init_lr", rate, rate / 10) : rate,
            MinLearningRate = isScheduled ? ReadRate("lr_scheduler.min_lr", rate, rate / 100) : rate,
            Decay = style,
            DecayFraction = fraction,
            Beta1 = betas[0],
            Beta2 = betas[1],
            AdamEpsilon = values.Number("optimizer.eps", Positive, "must be positive") ?? DefaultEpsilon,
            WeightDecay = decay,
            MaxGradientNorm = values.IsNull("clip_grad_norm.max_norm") ? double.PositiveInfinity
                : values.Number("clip_grad_norm.max_norm", value => value > 0, "must be positive, or null for no clipping")
                    ?? new OptimizerOptions().MaxGradientNorm,
        };
    }

    private (LearningRateDecay Style, double Fraction) ReadDecay(bool isScheduled, int? maxSteps)
    {
        double fraction = new OptimizerOptions().DecayFraction;
        if (!isScheduled) return (LearningRateDecay.Constant, fraction);
        if (values.Integer("lr_scheduler.lr_decay_steps") is int steps && steps != maxSteps)
            values.Fault("lr_scheduler.lr_decay_steps", $"{steps} must be step_scheduler.max_steps: the rate decays to the end of the run");
        LearningRateDecay style = values.Choice("lr_scheduler.lr_decay_style", "cosine", "linear", "constant", "WSD") switch
        {
            "linear" => LearningRateDecay.Linear,
            "constant" => LearningRateDecay.Constant,
            "WSD" => LearningRateDecay.WarmupStableDecay,
            _ => LearningRateDecay.Cosine,
        };
        if (style != LearningRateDecay.WarmupStableDecay) return (style, fraction);
        values.Choice("lr_scheduler.lr_wsd_decay_style", "linear");
        int? decaySteps = values.Integer("lr_scheduler.wsd_decay_steps");
        if (decaySteps is null || maxSteps is null || decaySteps > maxSteps)
            values.Fault("lr_scheduler.wsd_decay_steps", "WSD needs it, and max_steps, which it cannot exceed");
        else
            fraction = (double)decaySteps.Value / maxSteps.Value;
        return (style, fraction);
    }

    private double ReadRate(string key, double rate, double absent) =>
        values.Number(key, value => value >= 0 && value <= rate, "must lie between 0 and optimizer.lr") ?? absent;

    private ObjectiveOptions ReadObjective(ObjectiveOptions defaults) => new()
    {
        EncoderLossWeight = values.Number("dllm.encoder_loss_weight", NotNegative, "must not be negative") ?? defaults.EncoderLossWeight,
        NoiseFloor = values.Number("dllm.eps", IsPart, "must be in [0,1]") ?? defaults.NoiseFloor,
        SelfConditioningProbability = values.Boolean("model.self_conditioning") == false ? 0
            : values.Number("dllm.self_conditioning_p", IsPart, "must be in [0,1]") ?? defaults.SelfConditioningProbability,
    };

    private ParallelismOptions ReadParallel()
    {
        var defaults = new ParallelismOptions();
        double? minutes = values.Number(
            "dist_env.timeout_minutes", value => value is > 0 and < 1e6, "must be a positive number of minutes");
        return new ParallelismOptions
        {
            CollectiveTimeout = minutes is double time ? TimeSpan.FromMinutes(time) : defaults.CollectiveTimeout,
            ExpertParallel = ReadExpertParallel(),
        };
    }

    /// <summary>The ranks that share the experts; null: the largest number that divides ranks and experts.</summary>
    private int? ReadExpertParallel()
    {
        const string Key = "distributed.ep_size";
        if (values.Integer(Key) is not int size) return null;
        int ranks = Ranks();
        if (ranks % size == 0) return size;
        if (size < ranks)
        {
            values.Fault(Key, $"{size} does not divide the {ranks} ranks there are");
            return null;
        }
        notices.Add($"distributed.ep_size is {size} and there {(ranks == 1 ? "is 1 rank" : $"are {ranks} ranks")}: experts are split over "
            + (ranks == 1 ? "1." : "the largest number of them that divides both."));
        return null;
    }

    private int Ranks()
    {
        if (TrainingProcesses.Count > 1) return TrainingProcesses.Count;
        if (devices is not null) return devices.Count;
        return IsCuda ? cuda.device_count() : 1;
    }

    private RunOptions ReadRun(RunOptions defaults) => defaults with
    {
        ActivationCheckpointing = values.Boolean("distributed.activation_checkpointing") ?? false,
        MicroBatchSize = values.Integer("step_scheduler.local_batch_size") ?? defaults.MicroBatchSize,
        Shuffle = values.Boolean("dataloader.shuffle") ?? true,
        Precision = ReadPrecision(),
    };

    /// <summary>bfloat16 is what CUDA computes in anyway; a CPU is asked for it in vain.</summary>
    private ScalarType? ReadPrecision()
    {
        const string Key = "distributed.autocast_dtype";
        if (!values.Has(Key)) return values.IsNull(Key) ? ScalarType.Float32 : null;
        string? type = values.Text(Key)?.Split('.')[^1];
        switch (type)
        {
            case "bfloat16":
                if (!IsCuda) notices.Add($"{Key} is bfloat16: a CPU computes in float32.");
                return null;
            case "float32":
                return ScalarType.Float32;
            default:
                values.Fault(Key, $"'{type}' is not one of bfloat16, float32");
                return null;
        }
    }

    private bool IsCuda => (devices is { Count: > 0 } ? devices[0] : DiffusionGemmaRuntime.DefaultDevice).type == DeviceType.CUDA;

    private void RequireEqual(string key, double expected, string other)
    {
        if (values.Number(key, _ => true, "") is double value && value != expected)
            values.Fault(key, $"must be {other}'s");
    }

    private static bool Positive(double value) => double.IsFinite(value) && value > 0;

    private static bool NotNegative(double value) => double.IsFinite(value) && value >= 0;

    private static bool IsPart(double value) => value is >= 0 and <= 1;
}
