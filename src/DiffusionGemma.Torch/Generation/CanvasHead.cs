using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Computes the distributions of canvas positions from the decoder's hidden state, a few rows at a time: logits [rows,C,V] of a whole batch
/// never exist at once. With s = cap · tanh(x / cap) / temperature they are softmax(s).
/// </summary>
/// <remarks>
/// tanh(y) = 2σ(2y) - 1, and a constant does not change a softmax: the scores here are (2 cap / T) · σ(2x / cap), of which the largest is
/// then subtracted. A sigmoid costs a fifth of a tanh.
/// </remarks>
/// <param name="model">The model.</param>
/// <param name="chunkElements">Scores held at once, 256 MiB in float32; never less than one row's.</param>
/// <param name="sliceElements">Scores that elementwise work on a CPU takes at a time, so that they stay in its cache.</param>
internal sealed class CanvasHead(DiffusionGemmaModel model, long chunkElements = 1L << 26, long sliceElements = 1L << 19) : IDisposable
{
    private readonly DiffusionGemmaConfig _config = model.Config;
    private readonly ScalarType _wide = model.DType.AtLeastFloat32();
    private Tensor? _buffer;

    /// <summary>Computes the distributions of every row, chunk by chunk, in order. A row with a grammar is a chunk of its own.</summary>
    /// <param name="hidden">[rows,C,H], after the final norm.</param>
    /// <param name="temperatures">[rows].</param>
    /// <param name="grammars">[rows]; null: the row's answer is free.</param>
    /// <param name="whole">True for all free rows in one chunk.</param>
    /// <param name="visit">Called with each chunk, whose tensors are freed afterwards.</param>
    public void Visit(
        Tensor hidden, IReadOnlyList<double> temperatures, IReadOnlyList<RowGrammar?> grammars, bool whole,
        Action<ICanvasDistributions> visit)
    {
        ForChunks(hidden, grammars, whole, (first, count, scores) =>
        {
            if (grammars[first] is { } grammar)
            {
                visit(UnderGrammar(first, grammar, scores, temperatures[first]));
                return;
            }
            double[] ofPositions =
                [.. temperatures.Skip(first).Take(count).SelectMany(t => Enumerable.Repeat(t, _config.CanvasLength))];
            SoftmaxRows softmax = Kernels.CappedSoftmax(
                scores, _config.FinalLogitSoftcapping, ofPositions, model.DType, sliceElements, model.Stack.Reads);
            visit(new CanvasDistributions(model, first, count, scores, softmax, sliceElements));
        });
    }

    /// <summary>
    /// Computes the distributions of every row on the device, chunk by chunk: those of free rows go to <paramref name="readings"/>, which
    /// reads them all at once; a row with a grammar is visited, and reads its scores.
    /// </summary>
    /// <param name="hidden">[rows,C,H], after the final norm.</param>
    /// <param name="temperatures">[rows].</param>
    /// <param name="grammars">[rows]; null: the row's answer is free.</param>
    /// <param name="readings">Draws and reads.</param>
    /// <param name="condition">Called with the first of some free rows, and their expected embeddings [n,C,H].</param>
    /// <param name="visit">Called with each row that has a grammar.</param>
    public void Compute(
        Tensor hidden, IReadOnlyList<double> temperatures, IReadOnlyList<RowGrammar?> grammars, PassReadings readings,
        Action<int, Tensor> condition, Action<ICanvasDistributions> visit) =>
        ForChunks(hidden, grammars, whole: false, (first, _, scores) =>
        {
            if (grammars[first] is { } grammar) visit(UnderGrammar(first, grammar, scores, temperatures[first]));
            else condition(first, readings.Compute(first, scores));
        });

    /// <summary>Calls a function with the first row, the number of rows and the scores of each chunk.</summary>
    private void ForChunks(Tensor hidden, IReadOnlyList<RowGrammar?> grammars, bool whole, Action<int, int, Tensor> chunk)
    {
        int rows = (int)hidden.shape[0], canvas = _config.CanvasLength, vocabulary = _config.VocabularySize;
        int step = whole ? rows : (int)Math.Max(1, chunkElements / ((long)canvas * vocabulary));
        for (int first = 0, count; first < rows; first += count)
        {
            using var scope = NewDisposeScope();
            count = grammars[first] is not null ? 1
                : Enumerable.Range(first, Math.Min(step, rows - first)).TakeWhile(row => grammars[row] is null).Count();
            chunk(first, count, Scores(hidden.narrow(0, first, count).view(count * canvas, -1)));
        }
    }

    private ICanvasDistributions UnderGrammar(int row, RowGrammar grammar, Tensor scores, double temperature)
    {
        // σ in place of tanh changes each position's scores by a constant, which no distribution sees.
        scores.sigmoid_().mul_(2 * _config.FinalLogitSoftcapping / temperature);
        return scores.dtype == ScalarType.Float64
            ? new GrammarDistribution<double>(model, row, grammar, scores) : new GrammarDistribution<float>(model, row, grammar, scores);
    }

    public void Dispose() => _buffer?.Dispose();

    /// <summary>Returns 2x / cap for every position [N,V], at least float32, in a buffer that is used again.</summary>
    private Tensor Scores(Tensor hidden)
    {
        StoredWeight table = model.Stack.Embedding;
        long positions = hidden.shape[0], vocabulary = table.Shape[0];
        double scale = 2 / _config.FinalLogitSoftcapping;
        // the product's own rounding is part of the model
        if (model.DType != _wide) return Kernels.Linear(hidden, table, batchInvariant: true).to(_wide).mul_(scale);
        if (_buffer is null || _buffer.shape[0] < positions)
        {
            _buffer?.Dispose();
            _buffer = empty([positions, vocabulary], dtype: _wide, device: model.Device).DetachFromDisposeScope();
        }
        Tensor scores = _buffer.narrow(0, 0, positions), scaled = hidden * scale;
        Kernels.LinearInto(scaled, table, scores);
        return scores;
    }
}
