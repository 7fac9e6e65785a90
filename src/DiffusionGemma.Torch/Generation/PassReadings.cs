using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// All that denoising needs of the distributions of a pass, for every row without a grammar: computed on the device, a token drawn for
/// every position, the positions within the entropy bound chosen, and read at once.
/// <code>
/// host      draws, temperatures ─┐                                                      ┌─ tokens, entropies ... of all rows
/// device                         └─ decode ─ scores, draw, bound ─ scores, draw, bound ─┘
/// </code>
/// What a row draws does not depend on when it is read: the row's own generator has drawn its numbers before the pass.
/// </summary>
internal sealed class PassReadings : IDisposable
{
    /// <summary>Scores that a draw takes at a time: their cumulated sums are float64.</summary>
    private const long SliceElements = 1L << 24;

    /// <summary>
    /// Numbers that are read of a position: total, entropy, most likely token, drawn token and its probability, 1 where it is accepted.
    /// </summary>
    private const int Numbers = 6;

    /// <summary>A bound that accepts no position, for rows of another sampler.</summary>
    private const double None = -1;

    private readonly DiffusionGemmaModel _model;
    private readonly IReadOnlyList<DenoisingRow> _rows;
    private readonly Tensor _inverseTemperatures, _uniforms, _open, _bounds;  // [rows · C, 1] float64; open: 0 where pinned, else 1
    private readonly List<(int First, Tensor Values)> _chunks = [];          // [n · C, Numbers] float64

    /// <summary>Draws the rows' numbers and copies them to the device; called before the pass is computed.</summary>
    /// <param name="model">The model.</param>
    /// <param name="rows">The rows of the batch.</param>
    public PassReadings(DiffusionGemmaModel model, IReadOnlyList<DenoisingRow> rows)
    {
        (_model, _rows) = (model, rows);
        int canvas = model.Config.CanvasLength;
        double[][] columns = [.. Enumerable.Range(0, 4).Select(_ => new double[rows.Count * canvas])];
        for (int n = 0; n < rows.Count; n++)
        {
            DenoisingRow row = rows[n];
            Span<double> Of(int column) => columns[column].AsSpan(n * canvas, canvas);
            Of(0).Fill(1 / row.Temperature);
            if (row.Grammar is null && !row.IsCanvasFinished) row.DrawUniforms().CopyTo(Of(1));
            for (int i = 0; i < canvas; i++) Of(2)[i] = row.Pinned[i] ? 0 : 1;
            Of(3).Fill(row.Options.Sampler == CanvasSampler.EntropyBound ? row.Options.EntropyBound : None);
        }
        using var scope = NewDisposeScope();
        Tensor all = HostCopy.Send(tensor(columns.SelectMany(column => column).ToArray(), ScalarType.Float64, CPU), model.Device);
        Tensor Column(int column) => all.view(columns.Length, -1, 1).select(0, column).DetachFromDisposeScope();
        (_inverseTemperatures, _uniforms, _open, _bounds) = (Column(0), Column(1), Column(2), Column(3));
    }

    /// <summary>Computes the distributions of neighbouring rows, and draws from them.</summary>
    /// <param name="first">The first of the rows.</param>
    /// <param name="scores">[n · C, V]: 2x / cap for every position; overwritten.</param>
    /// <returns>Expected embeddings [n,C,H], which condition the next pass over these rows.</returns>
    public Tensor Compute(int first, Tensor scores)
    {
        using var scope = NewDisposeScope();
        int canvas = _model.Config.CanvasLength, rows = (int)(scores.shape[0] / canvas);
        Tensor inverse = _inverseTemperatures.narrow(0, first * canvas, rows * canvas).to(scores.dtype);
        DeviceSoftmaxRows softmax = LibTorchKernels.CappedSoftmax(
            scores, _model.Config.FinalLogitSoftcapping, inverse, _model.DType, scores.numel());
        Tensor drawn = cat([.. Enumerable.Range(0, rows).Select(n => Draw(first + n, scores.narrow(0, n * canvas, canvas)))], 0);
        Tensor Of(Tensor all) => all.narrow(0, first * canvas, rows * canvas).view(rows, canvas);
        Tensor entropies = softmax.Entropies.to(ScalarType.Float64).view(rows, canvas);
        Tensor accepted = EntropyBoundSampler.Choose(entropies.masked_fill(Of(_open).eq(0), 0), Of(_bounds).narrow(1, 0, 1));
        Tensor[] columns = [softmax.Totals, softmax.Entropies, softmax.MostLikely, drawn, accepted.view(-1, 1)];
        Tensor values = cat([.. columns.Select(column => column.to(ScalarType.Float64))], 1);
        _chunks.Add((first, values.DetachFromDisposeScope()));
        return CanvasDistributions.ExpectedEmbeddings(_model, scores, softmax.Totals, softmax.Rounded).MoveToOuterDisposeScope();
    }

    /// <summary>Reads what was computed.</summary>
    /// <returns>Each row's number in the batch, and its distributions.</returns>
    public IReadOnlyList<(int Row, IRowDistribution Distribution)> Read()
    {
        if (_chunks.Count == 0) return [];
        using var scope = NewDisposeScope();
        int canvas = _model.Config.CanvasLength;
        double[] numbers = _model.Stack.Reads.Numbers(cat([.. _chunks.Select(chunk => chunk.Values)], 0).t());
        int positions = numbers.Length / Numbers, at = 0;
        var read = new List<(int, IRowDistribution)>();
        foreach ((int first, Tensor values) in _chunks)
            for (int n = 0; n < values.shape[0] / canvas; n++, at += canvas)
            {
                int from = at;
                double[] Column(int column) => numbers[(column * positions + from)..(column * positions + from + canvas)];
                static int[] Ids(double[] column) => Array.ConvertAll(column, id => (int)id);
                read.Add((first + n, new ReadDistribution(
                    Column(0), Column(1), Ids(Column(2)), new Proposals(Ids(Column(3)), Column(4)),
                    _rows[first + n].Options.Sampler == CanvasSampler.EntropyBound ? Array.ConvertAll(Column(5), one => one > 0) : null)));
            }
        return read;
    }

    public void Dispose()
    {
        foreach (Tensor column in new[] { _inverseTemperatures, _uniforms, _open, _bounds }) column.Dispose();
        foreach ((_, Tensor values) in _chunks) values.Dispose();
    }

    /// <summary>Draws a token for every position of a row: it and its probability [C,2]; zeros for a row that draws none.</summary>
    private Tensor Draw(int index, Tensor weights)
    {
        DenoisingRow row = _rows[index];
        long canvas = weights.shape[0], slice = Math.Max(1, SliceElements / weights.shape[1]);
        if (row.Options.Greedy || row.IsCanvasFinished)
            return zeros(canvas, 2, dtype: ScalarType.Float64, device: weights.device);
        var parts = new List<Tensor>();
        for (long start = 0; start < canvas; start += slice)
        {
            long count = Math.Min(slice, canvas - start);
            parts.Add(TokenDraw.Draw(
                weights.narrow(0, start, count), _uniforms.narrow(0, index * canvas + start, count), row.Options.TopK, row.Options.TopP));
        }
        return cat(parts, 0);
    }

    /// <summary>A row's distributions as they were read, with a token drawn for every position.</summary>
    private sealed class ReadDistribution(double[] totals, double[] entropies, int[] best, Proposals drawn, bool[]? accepted)
        : IRowDistribution
    {
        public bool[]? Accepted => accepted;

        public bool IsFinite => totals.All(double.IsFinite);

        public int[] Best => [.. best];

        public double[] Entropies => [.. entropies];

        public Proposals ProposeBest() => new(Best, Array.ConvertAll(totals, total => 1 / total));

        public Proposals Sample(bool[] candidates, double[] uniforms, int topK, double topP) => new(
            [.. drawn.Tokens.Select((token, i) => candidates[i] ? token : 0)],
            [.. drawn.Probabilities.Select((likely, i) => candidates[i] ? likely : 0)]);

        public double[] LabelScores(int labels) => [];
    }
}
