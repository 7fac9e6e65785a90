namespace DiffusionGemma;

/// <summary>
/// Answers to the first held-out rows, from the prompts as the rows have them. The draws depend on the seed and the prompt alone, so that
/// the answers of two evaluations differ by the weights and nothing else. Ranks take rows in turn, and exchange the tokens.
/// </summary>
internal sealed class HeldOutAnswers
{
    private const int BatchSize = 8;
    private const string NotFinite = "The model's predictions are not finite numbers.", NoPrompt = "The row has no prompt.",
        NoRoom = "The prompt leaves no room for an answer within the model's positions.";

    private readonly DiffusionGemmaModel _model;
    private readonly RankGroups _ranks;
    private readonly TrainingExample[] _rows;
    private readonly int[] _limits;
    private readonly GenerationOptions _generation;
    private readonly IReadOnlyList<int> _ends;
    private readonly Func<EvaluationAnswer, EvaluationAnswer>? _read;

    /// <param name="model">The model, with all experts on this rank.</param>
    /// <param name="options">The held-out rows, and how many of them to answer.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="ranks">The ranks that take the rows in turn.</param>
    /// <exception cref="InvalidDataException">generation_config.json cannot be read, or has an entry that is not supported.</exception>
    public HeldOutAnswers(DiffusionGemmaModel model, EvaluationOptions options, long seed, RankGroups ranks)
    {
        (_model, _ranks, _read) = (model, ranks, options.ReadAnswer);
        _rows = [.. options.Examples.Take(options.Answers)];
        _limits = Array.ConvertAll(_rows, row => Limit(row, model.Config));
        _generation = new GenerationOptions { Seed = seed };
        _ends = ResolvedGenerationOptions.Resolve(_generation, model.Folder, model.Config).EosTokenIds;
    }

    /// <summary>Answers the rows under the current weights. A collective.</summary>
    /// <returns>The same on every rank.</returns>
    /// <exception cref="OperationCanceledException">Cancelled on some rank.</exception>
    public IReadOnlyList<EvaluationAnswer> Run(int step, CancellationToken cancellation)
    {
        _ranks.ThrowIfAnyCancelled(cancellation);
        _ranks.World.Activity = $"answers after {step} steps";
        // A row's place in the exchange: the number of tokens, and the tokens.
        int[] starts = new int[_rows.Length + 1];
        for (int i = 0; i < _rows.Length; i++) starts[i + 1] = starts[i] + 1 + _limits[i];
        double[] numbers = new double[starts[^1]];
        foreach ((int row, int[] ids) in AnswerOwn(cancellation))
        {
            numbers[starts[row]] = ids.Length;
            for (int i = 0; i < ids.Length; i++) numbers[starts[row] + 1 + i] = ids[i];
        }
        _ranks.ThrowIfAnyCancelled(cancellation);
        double[] all = _ranks.Sum(numbers);
        return [.. _rows.Select((_, row) => Read(row, all.AsSpan(starts[row] + 1, (int)all[starts[row]])))];
    }

    /// <summary>Answers this rank's rows; those without an answer are left out, all of them where the run is cancelled.</summary>
    private IEnumerable<(int Row, int[] Ids)> AnswerOwn(CancellationToken cancellation)
    {
        int[] own = [.. Enumerable.Range(0, _rows.Length)
            .Where(row => row % _ranks.World.Size == _ranks.World.Rank && _rows[row].PrefixLength > 0 && _limits[row] > 0)];
        if (own.Length == 0) return [];
        GenerationRequest[] requests = [.. own.Select(row => new GenerationRequest(_rows[row].InputIds[.._rows[row].PrefixLength])
        {
            Options = new GenerationOptions { MaxNewTokens = _limits[row] },
        })];
        var callbacks = new GenerationCallbacks
        {
            Failed = (_, error) =>
            {
                // Logits that are not finite become the answer's error; the losses decide whether the run ends.
                if (error is not NotFiniteLogitException) throw new TrainingException(error.Message, error);
            },
        };
        try
        {
            IReadOnlyList<GenerationResult?> results = CanvasGenerator.Generate(
                _model, requests, _generation, BatchSize, callbacks, cancellation);
            return [.. own.Zip(results).Where(pair => pair.Second is not null).Select(pair => (pair.First, pair.Second!.Ids))];
        }
        catch (OperationCanceledException)
        {
            // The ranks end together, at the place where all of them ask.
            return [];
        }
    }

    private EvaluationAnswer Read(int row, ReadOnlySpan<double> numbers)
    {
        TrainingExample example = _rows[row];
        int[] expected = example.InputIds[example.PrefixLength..], response = new int[numbers.Length];
        for (int i = 0; i < response.Length; i++) response[i] = (int)numbers[i];
        int end = Array.FindIndex(expected, _ends.Contains);
        var answer = new EvaluationAnswer
        {
            Row = row, PromptIds = example.InputIds[..example.PrefixLength], ExpectedIds = end < 0 ? expected : expected[..(end + 1)],
            ResponseIds = response,
            Error = response.Length > 0 ? null : example.PrefixLength == 0 ? NoPrompt : _limits[row] == 0 ? NoRoom : NotFinite,
        };
        return _read?.Invoke(answer) ?? answer;
    }

    /// <summary>The most tokens of an answer: the row's own canvases, as far as there are positions for whole ones.</summary>
    private static int Limit(TrainingExample row, DiffusionGemmaConfig config)
    {
        int canvas = config.CanvasLength, room = (config.MaxPositionEmbeddings - row.PrefixLength) / canvas;
        return Math.Min(row.CanvasCount(canvas), room) * canvas;
    }
}
