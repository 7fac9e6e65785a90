namespace DiffusionGemma;

/// <summary>How a new adapter's A is drawn; B starts at zero, so that training starts from the base model.</summary>
public enum LoraInitialization
{
    /// <summary>Uniform within ±1/√in (Kaiming with a = √5): PEFT's.</summary>
    KaimingUniform,

    /// <summary>Normal with variance 2 / (in + rank): NeMo AutoModel's.</summary>
    XavierNormal,
}

/// <summary>Low-rank adaptation: y = W x + scale · B A x with W frozen (Hu et al. 2021, "LoRA").</summary>
public sealed record LoraOptions
{
    /// <summary>r, the rows of A and columns of B.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>The delta's scale is Alpha / Rank.</summary>
    public double Alpha { get; init; } = 32;

    /// <summary>
    /// Projections to adapt: the last parts of module names ("q_proj", "self_attn.q_proj"), or patterns with * over whole names
    /// ("*layers.3.mlp.*"). Default: every attention and dense projection of every layer.
    /// </summary>
    public IReadOnlyList<string> Targets { get; init; } = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    /// <summary>Also adapts both expert stacks of every layer, at the same rank.</summary>
    public bool Experts { get; init; }

    /// <summary>How A is drawn.</summary>
    public LoraInitialization Initialization { get; init; } = LoraInitialization.KaimingUniform;

    /// <summary>Probability in [0,1) with which an input of A is dropped while training; expert stacks are never dropped.</summary>
    public double Dropout { get; init; }

    /// <summary>Scale by Alpha / √Rank instead (Kalajdzievski 2023, "rsLoRA").</summary>
    public bool RankStabilized { get; init; }

    internal void Validate()
    {
        if (Rank < 1) throw new ArgumentOutOfRangeException(nameof(Rank), Rank, "LoraOptions.Rank must be at least 1.");
        if (!double.IsFinite(Alpha) || Alpha <= 0) throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "LoraOptions.Alpha must be a positive number.");
        if (!(Dropout is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "LoraOptions.Dropout must be in [0,1).");
        if (Targets is null || Targets.Count == 0 && !Experts)
            throw new ArgumentException("LoraOptions.Targets is empty: name at least one projection, or set Experts.", nameof(Targets));
    }
}
