namespace DiffusionGemma;

/// <summary>State of one prompt's answer: its canvas, its draws, and the tokens that are committed.</summary>
internal sealed class DenoisingRow : IDisposable
{
    private readonly GenerationRequest _request;
    private readonly int _canvasLength;
    private readonly int _lastPinned;
    private readonly RowNoise _noise;
    private readonly IDisposable _adapterUse;
    private readonly List<int> _answer = [];
    private readonly List<int> _stepsPerCanvas = [];
    private bool[] _pinned = [];
    private ICanvasSampler _sampler = null!;
    private int _stableSteps;
    private bool _hasEndToken;
    private double[] _labelScores = [];
    private double[]? _uniforms;

    /// <param name="index">The caller's number of the prompt.</param>
    /// <param name="request">The prompt, and what is known of its answer.</param>
    /// <param name="options">Resolved options for this prompt.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="ArgumentException">The prompt is empty, too long or holds an id outside the vocabulary; or a draft, a pinned token
    /// or the adapter does not fit.</exception>
    /// <exception cref="ObjectDisposedException">The adapter is disposed.</exception>
    public DenoisingRow(int index, GenerationRequest request, ResolvedGenerationOptions options, DiffusionGemmaModel model)
    {
        DiffusionGemmaConfig config = model.Config;
        Adapter = request.Adapter ?? model.Adapter ?? LoraAdapter.None;
        GenerationRequestChecks.Require(index, request, options, config);
        (Index, _request, Options, _canvasLength) = (index, request, options, config.CanvasLength);
        VocabularySize = config.VocabularySize;
        _lastPinned = request.Pinned is { Count: > 0 } pins ? pins.Keys.Max() : -1;
        if (options.Automaton is { } automaton)
            Grammar = new RowGrammar(automaton, _canvasLength, options.MaxNewTokens, request.Pinned,
                options.Vocabulary!.Ending.EndOfSequence);
        GenerationRequestChecks.RequireAnswer(index, request, options, Grammar);
        // Last, because a row that is not made frees nothing.
        _adapterUse = GenerationRequestChecks.UseAdapter(index, Adapter, model);
        _noise = new RowNoise(request.Prompt, options.Seed);
    }

    public int Index { get; }

    public int[] Prompt => _request.Prompt;

    /// <summary>The adapter that the row runs with; <see cref="LoraAdapter.None"/>: the base alone.</summary>
    public LoraAdapter Adapter { get; }

    public ResolvedGenerationOptions Options { get; }

    /// <summary>The language of the answer, and where in it the canvas is; null: the answer is free.</summary>
    public RowGrammar? Grammar { get; }

    /// <summary>Number of the canvas, from 0.</summary>
    public int Canvas { get; private set; } = -1;

    /// <summary>Passes over this canvas before the next one.</summary>
    public int Step { get; private set; }

    /// <summary>[C]: the decoder's next input.</summary>
    public int[] Tokens { get; private set; } = [];

    /// <summary>[C]: the tokens that would be committed now.</summary>
    public int[] Draft { get; private set; } = [];

    /// <summary>True where the canvas is finished: its draft no longer changes.</summary>
    public bool IsCanvasFinished { get; private set; }

    /// <summary>True where the answer is complete.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>The temperature of the next pass.</summary>
    public double Temperature => Options.Temperature(Options.MaxDenoisingSteps - Step);

    /// <summary>True where a pass over the canvas has been made, which conditions the next.</summary>
    public bool IsConditioned => Step > 0;

    private int VocabularySize { get; }

    /// <summary>Starts the next canvas.</summary>
    /// <param name="random">[C] random tokens; null: the row's own draw.</param>
    public void BeginCanvas(int[]? random = null)
    {
        Tokens = [.. random ?? _noise.Canvas(_canvasLength, VocabularySize)];
        (Canvas, Step, _stableSteps) = (Canvas + 1, 0, 0);
        int start = Canvas * _canvasLength;
        for (int i = 0; i < _canvasLength && start + i < (_request.Draft?.Count ?? 0); i++) Tokens[i] = _request.Draft![start + i];
        _pinned = new bool[_canvasLength];
        for (int i = 0; i < _canvasLength && _lastPinned >= start; i++) _pinned[i] = _request.Pinned!.ContainsKey(start + i);
        Pin(Tokens);
        Draft = [.. Tokens];
        IsCanvasFinished = !_pinned.Contains(false);
        _sampler = Options.CreateSampler(_pinned);
        _stepsPerCanvas.Add(0);
        Grammar?.BeginCanvas(Canvas);
        ShowKnown(_pinned);
    }

    /// <summary>[C]: positions of the canvas whose token is given.</summary>
    public IReadOnlyList<bool> Pinned => _pinned;

    /// <summary>Draws the uniform numbers [C] of the next <see cref="Advance"/>, before the pass.</summary>
    public double[] DrawUniforms() => _uniforms ??= _noise.Uniforms(_canvasLength);

    /// <summary>Settles positions of the canvas by the distributions of a decoder pass.</summary>
    /// <param name="distribution">The distributions of the canvas's positions.</param>
    /// <param name="proposed">[C] proposals of a noise source; null: the row's own draws.</param>
    /// <param name="random">[C] replacements of a noise source; null: the row's own draws.</param>
    /// <param name="uniforms">[C] numbers of a noise source, for a row with a grammar; null: the row's own, of <see
    /// cref="DrawUniforms"/> where they are drawn.</param>
    /// <returns>A report of the step.</returns>
    /// <exception cref="NotFiniteLogitException">A logit is not a finite number.</exception>
    public DenoisingStep Advance(IRowDistribution distribution, Proposals? proposed = null, int[]? random = null, double[]? uniforms = null)
    {
        if (!distribution.IsFinite) throw new NotFiniteLogitException(Index, Canvas, Step);
        int[] best = distribution.Best;
        double[] entropies = distribution.Entropies;
        for (int i = 0; i < _canvasLength; i++) entropies[i] = _pinned[i] ? 0 : entropies[i];

        // Settle the surest positions, redraw the rest. Every step draws equally many numbers, however many positions settle: draws depend
        // on the row alone.
        bool[] candidates = _sampler.Candidates(entropies, distribution.Accepted);
        uniforms ??= proposed is null ? _uniforms ?? _noise.Uniforms(_canvasLength) : [];
        _uniforms = null;
        random ??= _noise.Canvas(_canvasLength, VocabularySize);
        Proposals proposals = proposed
            ?? (Options.Greedy ? distribution.ProposeBest() : distribution.Sample(candidates, uniforms, Options.TopK, Options.TopP));
        bool[] settled = _sampler.Settle(Step, Tokens, random, proposals);
        Pin(Tokens);
        ShowKnown(_sampler.KeepsSettled ? settled : _pinned);

        // Finished when the rules say so, or nothing is left to settle, or the steps are used up.
        int[] draft = _sampler.Draft(best, Tokens);
        Pin(draft);
        _stableSteps = Step > 0 && draft.AsSpan().SequenceEqual(Draft) ? _stableSteps + 1 : 0;
        Draft = draft;
        double mean = entropies.Sum() / _pinned.Count(p => !p);
        var state = new CanvasState(Prompt, Canvas, Step, draft, entropies, mean, _stableSteps);
        bool finished = Options.IsFinished(state) | _sampler.IsComplete;
        var step = new DenoisingStep(Index, Canvas, Step, draft, settled, mean, finished) { Entropies = entropies };
        if (!IsComplete) _stepsPerCanvas[^1]++;
        Step++;
        IsCanvasFinished = finished || Step == Options.MaxDenoisingSteps;
        if (IsCanvasFinished && Options.LabelCount > 0) _labelScores = distribution.LabelScores(Options.LabelCount);
        return step;
    }

    /// <summary>Starts the canvas again, from other random tokens.</summary>
    public void RestartCanvas() => (Tokens, Step) = (_noise.Canvas(_canvasLength, VocabularySize), 0);

    /// <summary>Adds the finished canvas to the answer, which ends at its first end token, or at the most tokens allowed.</summary>
    /// <returns>The canvas as it was added; and the tokens [C] to encode, with padding after the answer's end.</returns>
    public (CanvasUpdate Update, int[] Encoded) Commit()
    {
        int start = Canvas * _canvasLength, left = IsComplete ? 0 : Options.MaxNewTokens - _answer.Count;
        bool EndsAt(int i) => start + i >= _lastPinned && Options.EosTokenIds.Contains(Draft[i]);
        int end = IsComplete ? -1 : Enumerable.Range(0, _canvasLength).FirstOrDefault(EndsAt, -1);
        int kept = IsComplete ? 0 : end < 0 ? _canvasLength : end + 1, added = Math.Min(kept, left);
        int[] encoded = [.. Draft];
        encoded.AsSpan(kept).Fill(Options.PadTokenId);
        Grammar?.Commit(Draft.AsSpan(0, kept));
        _answer.AddRange(Draft[..added]);
        _hasEndToken |= end >= 0 && end < left;
        IsComplete |= end >= 0 || _answer.Count >= Options.MaxNewTokens;
        return (new CanvasUpdate(Canvas, Draft[..added], _stepsPerCanvas[^1]), encoded);
    }

    /// <summary>Returns the answer as far as it is committed.</summary>
    public GenerationResult Result()
    {
        int steps = _stepsPerCanvas.Sum();
        double tokens = _answer.Count(id => id != Options.PadTokenId);
        FinishReason finish = _hasEndToken ? FinishReason.End : IsComplete ? FinishReason.Length : FinishReason.Cancelled;
        return new GenerationResult([.. _answer], steps, steps == 0 ? 0 : tokens / steps, finish)
        {
            StepsPerCanvas = [.. _stepsPerCanvas],
            LabelScores = _labelScores,
        };
    }

    public void Dispose()
    {
        _noise.Dispose();
        _adapterUse.Dispose();
    }

    /// <summary>Tells the grammar which positions hold their tokens.</summary>
    private void ShowKnown(bool[] held)
    {
        if (Grammar is null) return;
        for (int i = 0; i < held.Length; i++) Grammar.Known[i] = held[i] ? Tokens[i] : -1;
    }

    private void Pin(int[] tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
            if (_pinned[i]) tokens[i] = _request.Pinned![Canvas * _canvasLength + i];
    }
}
