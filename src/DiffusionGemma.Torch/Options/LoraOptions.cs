namespace DiffusionGemma;

/// <summary>Low-rank adaptation: y = W x + scale · B A x with W frozen (Hu et al. 2021, "LoRA").</summary>
public sealed record LoraOptions
{
    /// <summary>The attention's projections, as <see cref="Targets"/>.</summary>
    public static IReadOnlyList<string> AttentionProjections { get; } = ["q_proj", "k_proj", "v_proj", "o_proj"];

    /// <summary>The dense feed-forward's projections, as <see cref="Targets"/>.</summary>
    public static IReadOnlyList<string> DenseProjections { get; } = ["gate_proj", "up_proj", "down_proj"];

    /// <summary>r, the rows of A and columns of B. Default: 16.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>The delta's scale is Alpha / Rank. Default: 32.</summary>
    public double Alpha { get; init; } = 32;

    /// <summary>
    /// The layers' projections to adapt: the last parts of module names ("q_proj", "self_attn.q_proj"), or patterns with * over whole names
    /// ("*layers.3.mlp.*"). Default: <see cref="AttentionProjections"/> and <see cref="DenseProjections"/> of every layer.
    /// </summary>
    public IReadOnlyList<string> Targets { get; init; } = [.. AttentionProjections, .. DenseProjections];

    /// <summary>Also adapts both expert stacks of every layer.</summary>
    public bool Experts { get; init; }

    /// <summary>r of the expert stacks' deltas, each expert's; null: <see cref="Rank"/>.</summary>
    public int? ExpertRank { get; init; }

    /// <summary>The expert stacks' deltas have the scale ExpertAlpha / r of theirs; null: <see cref="Alpha"/>.</summary>
    public double? ExpertAlpha { get; init; }

    /// <summary>Also adapts the three projections of self-conditioning, which the decoder alone has.</summary>
    public bool SelfConditioning { get; init; }

    /// <summary>Initialisation of A. Default: <see cref="LoraInitialization.KaimingUniform"/>.</summary>
    public LoraInitialization Initialization { get; init; } = LoraInitialization.KaimingUniform;

    /// <summary>
    /// Probability in [0,1) with which an input of A is dropped while training; expert stacks are never dropped. Default: 0.
    /// </summary>
    public double Dropout { get; init; }

    /// <summary>Scales are Alpha / √Rank instead (Kalajdzievski 2023, "rsLoRA").</summary>
    public bool RankStabilized { get; init; }

    /// <exception cref="ArgumentException">Options are at fault; the message names all of them.</exception>
    internal void Validate()
    {
        var faults = new OptionFaults(nameof(LoraOptions));
        Check(faults);
        faults.Throw();
    }

    internal void Check(OptionFaults faults)
    {
        void Require(bool holds, string option, object? value, string rule) => faults.Require(holds, "", option, value, rule);

        Require(Rank >= 1, nameof(Rank), Rank, "must be at least 1");
        Require(double.IsFinite(Alpha) && Alpha > 0, nameof(Alpha), Alpha, "must be a positive number");
        Require(ExpertRank is null or >= 1, nameof(ExpertRank), ExpertRank, "must be at least 1, or null");
        Require(
            ExpertAlpha is not double alpha || double.IsFinite(alpha) && alpha > 0, nameof(ExpertAlpha), ExpertAlpha,
            "must be a positive number, or null");
        if (!Experts && (ExpertRank ?? ExpertAlpha) is not null)
            faults.Add(
                nameof(Experts),
                "LoraOptions.ExpertRank and ExpertAlpha say how expert stacks are adapted: set Experts, or leave them out.");
        Require(Dropout is >= 0 and < 1, nameof(Dropout), Dropout, "must be in [0,1)");
        if (Targets is null || Targets.Count == 0 && !Experts && !SelfConditioning)
            faults.Add(
                nameof(Targets), "LoraOptions.Targets is empty: name at least one projection, or set Experts or SelfConditioning.");
    }
}
