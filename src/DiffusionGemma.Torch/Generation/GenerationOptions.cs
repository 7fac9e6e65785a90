using System.Text.Json.Serialization;

namespace DiffusionGemma;

/// <summary>
/// Options of denoising: the entries of generation_config.json, and this library's own. Null stands for the checkpoint folder's value, and
/// without one for the default given here (the reference's, where it has one).
/// </summary>
public sealed record GenerationOptions
{
    /// <summary>Most new tokens. The last canvas is denoised whole, and then cut. Default: 256.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Most decoder passes a canvas. Default: 48.</summary>
    public int? MaxDenoisingSteps { get; init; }

    /// <summary>Method of settling positions. Default: entropy bound.</summary>
    public CanvasSampler? Sampler { get; init; }

    /// <summary>
    /// Entropy bound: a step accepts its positions of lowest entropy while the entropies accepted before add up to no more than this, in
    /// nats; the first beyond it is accepted too. Default: 0.1.
    /// </summary>
    public double? EntropyBound { get; init; }

    /// <summary>Block refinement: a proposal more likely than this is committed. Default: 0.95.</summary>
    public double? CommitThreshold { get; init; }

    /// <summary>
    /// Block refinement: fewest tokens committed a step, beside the quota that follows from the number of steps. Default: 1.
    /// </summary>
    public int? MinimumCommits { get; init; }

    /// <summary>Block refinement: a committed token is replaced by another that is more likely than this. Default: never.</summary>
    public double? EditThreshold { get; init; }

    /// <summary>
    /// The temperature that the last possible step approaches: step s of S remaining divides logits by TMin + (TMax - TMin) s / S. Default:
    /// 0.4.
    /// </summary>
    public double? TMin { get; init; }

    /// <summary>
    /// The temperature of the first step. Default: 0.8. Where both are 0 nothing is drawn: the most likely token is proposed, and entropies
    /// and probabilities are those of the unscaled logits.
    /// </summary>
    public double? TMax { get; init; }

    /// <summary>The number of most likely tokens that proposals are drawn from; 0: all. Default: 0.</summary>
    public int? TopK { get; init; }

    /// <summary>
    /// Proposals are drawn from the fewest most likely tokens whose probabilities (among those that <see cref="TopK"/> left) add up to
    /// this; 1: all. Default: 1.
    /// </summary>
    public double? TopP { get; init; }

    /// <summary>Steps for which the draft must have stayed the same before a row may finish a canvas early. Default: 1.</summary>
    public int? StabilityThreshold { get; init; }

    /// <summary>Mean entropy in nats below which a stable row finishes a canvas early. Default: 0.005.</summary>
    public double? ConfidenceThreshold { get; init; }

    /// <summary>A custom rule that also finishes a canvas early. Not saved with an ML.NET model. Default: none.</summary>
    [JsonIgnore]
    public IStopCriterion? StopCriterion { get; init; }

    /// <summary>
    /// The language that the answer must be in; null: it is free. Every answer then is one, from the first draft on, and the distributions
    /// are the model's own given that. Needs <see cref="Vocabulary"/>, which ML.NET models and the chat client set themselves. Not together
    /// with <see cref="EditThreshold"/>.
    /// </summary>
    public AnswerGrammar? Grammar { get; init; }

    /// <summary>
    /// The tokenizer's vocabulary, which <see cref="Grammar"/> needs; ML.NET models and the chat client set their own where it is null.
    /// </summary>
    [JsonIgnore]
    public GrammarVocabulary? Vocabulary { get; init; }

    /// <summary>Tokens that end an answer. Default: config.json's.</summary>
    public IReadOnlyList<int>? EosTokenIds { get; init; }

    /// <summary>The token that fills a canvas after an end token. Default: config.json's.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>Seed of the draws without a noise source; a row's draws depend on it and on the row's prompt. Default: 0.</summary>
    public long? Seed { get; init; }

    /// <summary>
    /// True to return a cancelled answer with its finished canvases, as <see cref="FinishReason.Cancelled"/>, instead of throwing. Default:
    /// false.
    /// </summary>
    public bool? ReturnOnCancellation { get; init; }

    /// <summary>Combines these options with <paramref name="others"/>, which apply where these are null.</summary>
    public GenerationOptions Over(GenerationOptions? others) => others is null ? this : new GenerationOptions
    {
        MaxNewTokens = MaxNewTokens ?? others.MaxNewTokens,
        MaxDenoisingSteps = MaxDenoisingSteps ?? others.MaxDenoisingSteps,
        Sampler = Sampler ?? others.Sampler,
        EntropyBound = EntropyBound ?? others.EntropyBound,
        CommitThreshold = CommitThreshold ?? others.CommitThreshold,
        MinimumCommits = MinimumCommits ?? others.MinimumCommits,
        EditThreshold = EditThreshold ?? others.EditThreshold,
        TMin = TMin ?? others.TMin,
        TMax = TMax ?? others.TMax,
        TopK = TopK ?? others.TopK,
        TopP = TopP ?? others.TopP,
        StabilityThreshold = StabilityThreshold ?? others.StabilityThreshold,
        ConfidenceThreshold = ConfidenceThreshold ?? others.ConfidenceThreshold,
        StopCriterion = StopCriterion ?? others.StopCriterion,
        Grammar = Grammar ?? others.Grammar,
        Vocabulary = Vocabulary ?? others.Vocabulary,
        EosTokenIds = EosTokenIds ?? others.EosTokenIds,
        PadTokenId = PadTokenId ?? others.PadTokenId,
        Seed = Seed ?? others.Seed,
        ReturnOnCancellation = ReturnOnCancellation ?? others.ReturnOnCancellation,
    };

    /// <summary>
    /// These options with every value decided: null ones are the folder's generation_config.json's, else the default. Options of a sampler
    /// that is not used stay null.
    /// </summary>
    /// <param name="folder">A checkpoint's folder.</param>
    /// <exception cref="InvalidDataException">generation_config.json cannot be read, or asks for what is not supported.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public GenerationOptions Resolve(string folder)
    {
        var resolved = ResolvedGenerationOptions.Resolve(this, folder, DiffusionGemmaConfig.Load(folder));
        bool isBlockRefinement = resolved.Sampler == CanvasSampler.BlockRefinement;
        return this with
        {
            MaxNewTokens = resolved.MaxNewTokens,
            MaxDenoisingSteps = resolved.MaxDenoisingSteps,
            Sampler = resolved.Sampler,
            EntropyBound = isBlockRefinement ? null : resolved.EntropyBound,
            CommitThreshold = isBlockRefinement ? resolved.CommitThreshold : null,
            MinimumCommits = isBlockRefinement ? resolved.MinimumCommits : null,
            TMin = resolved.TMin,
            TMax = resolved.TMax,
            TopK = resolved.TopK,
            TopP = resolved.TopP,
            StabilityThreshold = resolved.StabilityThreshold,
            ConfidenceThreshold = resolved.ConfidenceThreshold,
            EosTokenIds = resolved.EosTokenIds,
            PadTokenId = resolved.PadTokenId,
            Seed = resolved.Seed,
            ReturnOnCancellation = resolved.ReturnOnCancellation,
        };
    }
}
