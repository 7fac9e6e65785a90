namespace DiffusionGemma;

/// <summary>One prompt on its way to an answer: its canvas, its draws, and what is finished.</summary>
internal sealed class DenoisingRow : IDisposable
{
    private readonly GenerationRequest _request;
    private readonly int _canvasLength;
    private readonly int _lastPinned;
    private readonly RowNoise _noise;
    private readonly List<int> _answer = [];
    private readonly List<int> _stepsPerCanvas = [];
    private bool[] _pinned = [];
    private ICanvasSampler _sampler = null!;
    private int _stableSteps;

    /// <param name="index">Which prompt it is to the caller.</param>
    /// <param name="request">The prompt.</param>
    /// <param name="options">How it is answered.</param>
    /// <param name="config">The model's.</param>
    /// <exception cref="ArgumentException">The prompt is empty, too long or holds an id outside the vocabulary; or a draft or pinned token does not fit.</exception>
    public DenoisingRow(int index, GenerationRequest request, ResolvedGenerationOptions options, DiffusionGemmaConfig config)
    {
        GenerationRequestChecks.Require(index, request, options, config);
        (Index, _request, Options, _canvasLength) = (index, request, options, config.CanvasLength);
        VocabularySize = config.VocabularySize;
        _lastPinned = request.Pinned is { Count: > 0 } pins ? pins.Keys.Max() : -1;
        _noise = new RowNoise(request.Prompt, options.Seed);
    }

    public int Index { get; }

    public int[] Prompt => _request.Prompt;

    public ResolvedGenerationOptions Options { get; }

    /// <summary>Which canvas, from 0.</summary>
    public int Canvas { get; private set; } = -1;

    /// <summary>Passes over this canvas before the next one.</summary>
    public int Step { get; private set; }

    /// <summary>[C]: what the decoder is to see.</summary>
    public int[] Tokens { get; private set; } = [];

    /// <summary>[C]: what the canvas would say if it were finished now.</summary>
    public int[] Draft { get; private set; } = [];

    /// <summary>The canvas is finished; its draft no longer changes.</summary>
    public bool Finished { get; private set; }

    /// <summary>The answer is complete.</summary>
    public bool Ended { get; private set; }

    /// <summary>The temperature of the next pass.</summary>
    public double Temperature => Options.Temperature(Options.MaxDenoisingSteps - Step);

    /// <summary>Whether a pass over the canvas has been made that the next is conditioned on.</summary>
    public bool IsConditioned => Step > 0;

    private int VocabularySize { get; }

    /// <summary>Starts the next canvas.</summary>
    /// <param name="random">[C] random tokens; null: the row's own draw.</param>
    public void BeginCanvas(int[]? random = null)
    {
        Tokens = [.. random ?? _noise.Canvas(_canvasLength, VocabularySize)];
        (Canvas, Step, _stableSteps, Finished) = (Canvas + 1, 0, 0, false);
        int start = Canvas * _canvasLength;
        for (int i = 0; i < _canvasLength && start + i < (_request.Draft?.Count ?? 0); i++) Tokens[i] = _request.Draft![start + i];
        _pinned = new bool[_canvasLength];
        for (int i = 0; i < _canvasLength && _lastPinned >= start; i++) _pinned[i] = _request.Pinned!.ContainsKey(start + i);
        Pin(Tokens);
        Draft = [.. Tokens];
        Finished = !_pinned.Contains(false);
        _sampler = Options.NewSampler(_pinned);
        _stepsPerCanvas.Add(0);
    }

    /// <summary>Takes what a decoder pass predicted.</summary>
    /// <param name="chunk">The predictions.</param>
    /// <param name="row">This row's place in them.</param>
    /// <param name="sampled">[C] proposals, and <paramref name="random"/> [C] replacements; null: the row's own draws.</param>
    /// <param name="random">See <paramref name="sampled"/>.</param>
    /// <returns>The step, for those who watch.</returns>
    /// <exception cref="NotFiniteLogitException">A logit is not a finite number.</exception>
    public DenoisingStep Take(CanvasPredictor.Chunk chunk, int row, int[]? sampled = null, int[]? random = null)
    {
        if (!chunk.IsFinite(row))
            throw new NotFiniteLogitException(Index, Canvas, Step);
        int[] mostLikely = chunk.MostLikely(row);
        double[] entropies = chunk.Entropies(row);
        for (int i = 0; i < _canvasLength; i++) entropies[i] = _pinned[i] ? 0 : entropies[i];

        // Settle what is surest, redraw the rest. Every step draws as much, whatever was settled: draws depend on the row alone.
        bool[] candidates = _sampler.Candidates(entropies);
        double[] uniforms = sampled is null ? _noise.Uniforms(_canvasLength) : [];
        random ??= _noise.Canvas(_canvasLength, VocabularySize);
        Proposals proposals = sampled is not null ? chunk.Given(row, sampled)
            : Options.Greedy ? chunk.Greedy(row)
            : chunk.Draw(row, candidates, uniforms, Options.TopK, Options.TopP);
        bool[] settled = _sampler.Settle(Step, Tokens, random, proposals);
        Pin(Tokens);

        // Finished when the rules say so, or nothing is left to settle, or the steps are used up.
        int[] draft = _sampler.Draft(mostLikely, Tokens);
        Pin(draft);
        _stableSteps = Step > 0 && draft.AsSpan().SequenceEqual(Draft) ? _stableSteps + 1 : 0;
        Draft = draft;
        double mean = entropies.Sum() / _pinned.Count(p => !p);
        bool finished = Options.IsFinished(new CanvasState(Prompt, Canvas, Step, draft, entropies, mean, _stableSteps)) | _sampler.IsComplete;
        var step = new DenoisingStep(Index, Canvas, Step, draft, settled, mean, finished);
        if (!Ended) _stepsPerCanvas[^1]++;
        Step++;
        Finished = finished || Step == Options.MaxDenoisingSteps;
        return step;
    }

    /// <summary>Adds the finished canvas to the answer, which ends at its first end token, or when it is long enough.</summary>
    /// <returns>What was added; and [C] what is to be encoded: padding after the answer's end.</returns>
    public (CanvasUpdate Update, int[] Encoded) Commit()
    {
        int start = Canvas * _canvasLength, left = Ended ? 0 : Options.MaxNewTokens - _answer.Count;
        int end = Ended ? -1 : Enumerable.Range(0, _canvasLength).FirstOrDefault(i => start + i >= _lastPinned && Options.EosTokenIds.Contains(Draft[i]), -1);
        int kept = Ended ? 0 : end < 0 ? _canvasLength : end + 1, told = Math.Min(kept, left);
        int[] encoded = [.. Draft];
        encoded.AsSpan(kept).Fill(Options.PadTokenId);
        _answer.AddRange(Draft[..told]);
        HasEnded |= end >= 0 && end < left;
        Ended |= end >= 0 || _answer.Count >= Options.MaxNewTokens;
        return (new CanvasUpdate(Canvas, Draft[..told], _stepsPerCanvas[^1]), encoded);
    }

    /// <summary>The answer as far as it is committed.</summary>
    public GenerationResult Result()
    {
        int steps = _stepsPerCanvas.Sum();
        double tokens = _answer.Count(id => id != Options.PadTokenId);
        return new GenerationResult([.. _answer], steps, steps == 0 ? 0 : tokens / steps, HasEnded ? FinishReason.End : Ended ? FinishReason.Length : FinishReason.Cancelled)
        {
            StepsPerCanvas = [.. _stepsPerCanvas],
        };
    }

    public void Dispose() => _noise.Dispose();

    private bool HasEnded { get; set; }

    private void Pin(int[] tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
            if (_pinned[i]) tokens[i] = _request.Pinned![Canvas * _canvasLength + i];
    }
}
