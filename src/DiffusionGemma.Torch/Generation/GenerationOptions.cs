namespace DiffusionGemma;

/// <summary>
/// How a run denoises: the entries of generation_config.json. Null means the checkpoint folder's value, and where that has none, the
/// reference's default, which is given here.
/// </summary>
public sealed record GenerationOptions
{
    /// <summary>New tokens at most, rounded up to whole canvases. 256.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Decoder passes a canvas at most. 48.</summary>
    public int? MaxDenoisingSteps { get; init; }

    /// <summary>
    /// A step accepts its positions of lowest entropy while the entropies accepted before add up to no more than this, in nats; the first
    /// beyond it is accepted too. 0.1.
    /// </summary>
    public double? EntropyBound { get; init; }

    /// <summary>The temperature that the last possible step approaches: step s of S remaining divides logits by TMin + (TMax - TMin) s / S. 0.4.</summary>
    public double? TMin { get; init; }

    /// <summary>The temperature of the first step. 0.8.</summary>
    public double? TMax { get; init; }

    /// <summary>Steps for which the draft must have stayed the same before a row may finish a canvas early. 1.</summary>
    public int? StabilityThreshold { get; init; }

    /// <summary>Mean entropy in nats below which a stable row finishes a canvas early. 0.005.</summary>
    public double? ConfidenceThreshold { get; init; }

    /// <summary>Tokens that end an answer. Default: config.json's.</summary>
    public IReadOnlyList<int>? EosTokenIds { get; init; }

    /// <summary>What follows an end token. Default: config.json's.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>Where the draws start when no noise source is given; a row's draws follow from it and the row's prompt. 0.</summary>
    public long? Seed { get; init; }
}
