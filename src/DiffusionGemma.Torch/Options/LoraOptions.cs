namespace DiffusionGemma;

/// <summary>Low-rank adaptation: y = W x + scale · B A x with W frozen (Hu et al. 2021, "LoRA").</summary>
public sealed record LoraOptions
{
    /// <summary>The attention's projections, as <see cref="Targets"/>.</summary>
    public static IReadOnlyList<string> AttentionProjections { get; } = ["q_proj", "k_proj", "v_proj", "o_proj"];

    /// <summary>The dense feed-forward's projections, as <see cref="Targets"/>.</summary>
    public static IReadOnlyList<string> DenseProjections { get; } = ["gate_proj", "up_proj", "down_proj"];

    /// <summary>r, the rows of A and columns of B.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>The delta's scale is Alpha / Rank.</summary>
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

    /// <summary>Initialisation of A.</summary>
    public LoraInitialization Initialization { get; init; } = LoraInitialization.KaimingUniform;

    /// <summary>Probability in [0,1) with which an input of A is dropped while training; expert stacks are never dropped.</summary>
    public double Dropout { get; init; }

    /// <summary>Scales are Alpha / √Rank instead (Kalajdzievski 2023, "rsLoRA").</summary>
    public bool RankStabilized { get; init; }

    internal void Validate()
    {
        if (Rank < 1) throw new ArgumentOutOfRangeException(nameof(Rank), Rank, "LoraOptions.Rank must be at least 1.");
        if (!double.IsFinite(Alpha) || Alpha <= 0)
            throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "LoraOptions.Alpha must be a positive number.");
        if (ExpertRank < 1)
            throw new ArgumentOutOfRangeException(nameof(ExpertRank), ExpertRank, "LoraOptions.ExpertRank must be at least 1, or null.");
        if (ExpertAlpha is double alpha && (!double.IsFinite(alpha) || alpha <= 0))
            throw new ArgumentOutOfRangeException(
                nameof(ExpertAlpha), alpha, "LoraOptions.ExpertAlpha must be a positive number, or null.");
        if (!Experts && (ExpertRank ?? ExpertAlpha) is not null)
            throw new ArgumentException(
                "LoraOptions.ExpertRank and ExpertAlpha say how expert stacks are adapted: set Experts, or leave them out.",
                nameof(Experts));
        if (!(Dropout is >= 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "LoraOptions.Dropout must be in [0,1).");
        if (Targets is null || Targets.Count == 0 && !Experts && !SelfConditioning)
            throw new ArgumentException(
                "LoraOptions.Targets is empty: name at least one projection, or set Experts or SelfConditioning.", nameof(Targets));
    }
}
