namespace DiffusionGemma;

/// <summary>Generation options without null: the caller's, else generation_config.json's, else the default.</summary>
internal sealed record ResolvedGenerationOptions
{
    public required int MaxNewTokens { get; init; }

    public required int MaxDenoisingSteps { get; init; }

    public required CanvasSampler Sampler { get; init; }

    public required double EntropyBound { get; init; }

    public required double CommitThreshold { get; init; }

    public required int MinimumCommits { get; init; }

    public required double? EditThreshold { get; init; }

    public required double TMin { get; init; }

    public required double TMax { get; init; }

    public required int TopK { get; init; }

    public required double TopP { get; init; }

    public required int StabilityThreshold { get; init; }

    public required double ConfidenceThreshold { get; init; }

    public required IStopCriterion? StopCriterion { get; init; }

    public required IReadOnlyList<int> EosTokenIds { get; init; }

    public required int PadTokenId { get; init; }

    public required long Seed { get; init; }

    public required bool ReturnOnCancellation { get; init; }

    /// <summary>The grammar over the vocabulary's tokens; null: the answer is free.</summary>
    public TokenAutomaton? Automaton { get; private init; }

    /// <summary>Labels of the grammar whose probabilities can be read; empty: it is no list of labels.</summary>
    public IReadOnlyList<string> Labels { get; private init; } = [];

    /// <summary>The number of <see cref="Labels"/>.</summary>
    public int LabelCount => Labels.Count;

    /// <summary>The bytes of the vocabulary's tokens, which the grammar was compiled for.</summary>
    public GrammarVocabulary? Vocabulary { get; private init; }

    /// <summary>True where nothing is drawn: the most likely token is proposed.</summary>
    public bool Greedy => TMax == 0;

    /// <summary>Returns the divisor of the logits with <paramref name="remaining"/> steps to go, this one included.</summary>
    public double Temperature(int remaining) => Greedy ? 1 : TMin + (TMax - TMin) * remaining / MaxDenoisingSteps;

    /// <summary>Resolves options by a checkpoint folder, and checks them.</summary>
    /// <exception cref="InvalidDataException">generation_config.json cannot be read, or has an entry that is out of range or not supported.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public static ResolvedGenerationOptions Resolve(GenerationOptions? given, string folder, DiffusionGemmaConfig config) =>
        Resolve(given, new GenerationConfigFile(folder), config);

    /// <inheritdoc cref="Resolve(GenerationOptions?, string, DiffusionGemmaConfig)"/>
    public static ResolvedGenerationOptions Resolve(GenerationOptions? given, GenerationConfigFile file, DiffusionGemmaConfig config)
    {
        given ??= new GenerationOptions();
        var resolved = new ResolvedGenerationOptions
        {
            MaxNewTokens = given.MaxNewTokens ?? file.Integer("max_new_tokens") ?? 256,
            MaxDenoisingSteps = given.MaxDenoisingSteps ?? file.Integer("max_denoising_steps") ?? 48,
            Sampler = given.Sampler ?? CanvasSampler.EntropyBound,
            EntropyBound = given.EntropyBound ?? file.EntropyBound() ?? 0.1,
            CommitThreshold = given.CommitThreshold ?? 0.95,
            MinimumCommits = given.MinimumCommits ?? 1,
            EditThreshold = given.EditThreshold,
            TMin = given.TMin ?? file.Number("t_min") ?? 0.4,
            TMax = given.TMax ?? file.Number("t_max") ?? 0.8,
            TopK = given.TopK ?? file.Integer("top_k") ?? 0,
            TopP = given.TopP ?? file.Number("top_p") ?? 1,
            StabilityThreshold = given.StabilityThreshold ?? file.Integer("stability_threshold") ?? 1,
            ConfidenceThreshold = given.ConfidenceThreshold ?? file.Number("confidence_threshold") ?? 0.005,
            StopCriterion = given.StopCriterion,
            EosTokenIds = given.EosTokenIds ?? file.Integers("eos_token_id") ?? config.EosTokenIds,
            PadTokenId = given.PadTokenId ?? file.Integer("pad_token_id") ?? config.PadTokenId,
            Seed = given.Seed ?? 0,
            ReturnOnCancellation = given.ReturnOnCancellation ?? false,
        };
        resolved.Validate(given, file, config);
        if (given.Grammar is not { } grammar) return resolved;
        return resolved with
        {
            Automaton = Compile(given, config),
            Vocabulary = given.Vocabulary,
            Labels = grammar.EndsApart ? grammar.Labels : [],
        };
    }

    /// <summary>Applies the rules that finish a canvas early.</summary>
    public bool IsFinished(CanvasState canvas) =>
        new StableAndConfident(StabilityThreshold, ConfidenceThreshold).IsFinished(canvas) | (StopCriterion?.IsFinished(canvas) ?? false);

    /// <summary>Creates the sampler of one canvas.</summary>
    /// <param name="pinned">[C]: positions that are settled from the start.</param>
    public ICanvasSampler CreateSampler(bool[] pinned) => Sampler == CanvasSampler.EntropyBound
        ? new EntropyBoundSampler(EntropyBound)
        : new BlockRefinementSampler(pinned, MaxDenoisingSteps, CommitThreshold, MinimumCommits, EditThreshold);

    /// <exception cref="ArgumentException">The vocabulary is missing, or not the model's; or the sampler edits, which a grammar does not
    /// allow.</exception>
    /// <exception cref="GrammarException">The vocabulary cannot spell any answer.</exception>
    private static TokenAutomaton Compile(GenerationOptions given, DiffusionGemmaConfig config)
    {
        if (given.Vocabulary is not { } vocabulary)
            throw new ArgumentException(
                "GenerationOptions.Grammar needs GenerationOptions.Vocabulary: a GrammarVocabulary of the checkpoint's tokenizer.");
        if (vocabulary.Size > config.VocabularySize)
            throw new ArgumentException(
                $"GenerationOptions.Vocabulary has {vocabulary.Size} ids, the model {config.VocabularySize}: it is another checkpoint's "
                + $"tokenizer.");
        if (given.EditThreshold is not null)
            throw new ArgumentException(
                "GenerationOptions.EditThreshold cannot be used with a Grammar: an edited token would not fit its neighbours.");
        return vocabulary.Automaton(given.Grammar!);
    }

    private void Validate(GenerationOptions given, GenerationConfigFile file, DiffusionGemmaConfig config)
    {
        var faults = new OptionFaults(nameof(GenerationOptions));
        void Require(bool holds, string option, object? value, string rule)
        {
            if (!holds && !IsGiven(given, option)) file.RequireAbsent(option, rule);
            faults.Require(holds, "", option, value, rule);
        }

        void ForBlockRefinement(string option, object? value) =>
            Require(
                value is null || Sampler == CanvasSampler.BlockRefinement, option, value,
                "is of the block refinement sampler: set Sampler to BlockRefinement, or leave it out");

        Require(MaxNewTokens >= 1, nameof(MaxNewTokens), MaxNewTokens, "must be at least 1");
        Require(MaxDenoisingSteps >= 1, nameof(MaxDenoisingSteps), MaxDenoisingSteps, "must be at least 1");
        Require(Enum.IsDefined(Sampler), nameof(Sampler), Sampler, "must be one of the named samplers");
        Require(EntropyBound >= 0, nameof(EntropyBound), EntropyBound, "must not be negative");
        Require(
            given.EntropyBound is null || Sampler == CanvasSampler.EntropyBound, nameof(EntropyBound), EntropyBound,
            "is of the entropy bound sampler: set Sampler to EntropyBound, or leave it out");
        ForBlockRefinement(nameof(CommitThreshold), given.CommitThreshold);
        ForBlockRefinement(nameof(MinimumCommits), given.MinimumCommits);
        ForBlockRefinement(nameof(EditThreshold), given.EditThreshold);
        Require(CommitThreshold >= 0, nameof(CommitThreshold), CommitThreshold, "must not be negative (above 1: the quota alone commits)");
        Require(MinimumCommits >= 0, nameof(MinimumCommits), MinimumCommits, "must not be negative");
        Require(EditThreshold is not < 0 and not double.NaN, nameof(EditThreshold), EditThreshold, "must not be negative");
        Require(double.IsFinite(TMin) && TMin >= 0, nameof(TMin), TMin, "must not be negative");
        Require(double.IsFinite(TMax) && !(TMax < TMin), nameof(TMax), TMax, "must not be less than TMin");
        Require(TopK >= 0, nameof(TopK), TopK, "must not be negative (0: all tokens)");
        Require(TopP is > 0 and <= 1, nameof(TopP), TopP, "must be in (0,1] (1: all tokens)");
        Require(StabilityThreshold >= 0, nameof(StabilityThreshold), StabilityThreshold, "must not be negative");
        Require(!double.IsNaN(ConfidenceThreshold), nameof(ConfidenceThreshold), ConfidenceThreshold, "must be a number");
        Require(
            EosTokenIds.All(id => id >= 0 && id < config.VocabularySize), nameof(EosTokenIds), string.Join(",", EosTokenIds),
            $"must lie within the vocabulary of {config.VocabularySize}");
        Require(
            PadTokenId >= 0 && PadTokenId < config.VocabularySize, nameof(PadTokenId), PadTokenId,
            $"must lie within the vocabulary of {config.VocabularySize}");
        faults.Throw();
    }

    /// <summary>True where the caller chose the value, or what the value is compared with.</summary>
    private static bool IsGiven(GenerationOptions given, string option) => option switch
    {
        nameof(MaxNewTokens) => given.MaxNewTokens is not null,
        nameof(MaxDenoisingSteps) => given.MaxDenoisingSteps is not null,
        nameof(EntropyBound) => given.EntropyBound is not null,
        nameof(TMin) => given.TMin is not null,
        nameof(TMax) => given.TMax is not null || given.TMin is not null,
        nameof(TopK) => given.TopK is not null,
        nameof(TopP) => given.TopP is not null,
        nameof(StabilityThreshold) => given.StabilityThreshold is not null,
        nameof(ConfidenceThreshold) => given.ConfidenceThreshold is not null,
        nameof(EosTokenIds) => given.EosTokenIds is not null,
        nameof(PadTokenId) => given.PadTokenId is not null,
        _ => true,                                                                               // not an entry of the file
    };
}
