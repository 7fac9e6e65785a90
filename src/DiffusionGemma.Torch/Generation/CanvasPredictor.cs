using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// From the decoder's hidden state to what denoising needs of each position's distribution, a few rows at a time: [rows,C,V] logits of a whole
/// batch never exist at once. With s = cap · tanh(x / cap) / temperature, softmax(s), its entropy, and its expected embedding.
/// </summary>
/// <remarks>
/// tanh(y) = 2σ(2y) - 1, and a constant does not change a softmax: the scores here are (2 cap / T) · σ(2x / cap), of which the largest is then
/// subtracted. A sigmoid costs a fifth of a tanh.
/// </remarks>
/// <param name="model">The model.</param>
/// <param name="chunkElements">Scores held at once, 256 MiB in float32; never less than one row's.</param>
/// <param name="sliceElements">On a CPU elementwise work is done on so many scores at a time, which stay in its cache.</param>
internal sealed class CanvasPredictor(DiffusionGemmaModel model, long chunkElements = 1L << 26, long sliceElements = 1L << 19) : IDisposable
{
    private readonly DiffusionGemmaConfig _config = model.Config;
    private readonly ScalarType _wide = RotaryEmbedding.AtLeastFloat32(model.DType);
    private Tensor? _buffer;

    private DiffusionGemmaModel Model { get; } = model;

    private long SliceElements { get; } = sliceElements;

    /// <summary>Predicts every row, chunk by chunk, in order.</summary>
    /// <param name="hidden">[rows,C,H], after the final norm.</param>
    /// <param name="temperatures">[rows].</param>
    /// <param name="whole">All rows in one chunk: for a caller who needs them all at once.</param>
    /// <param name="visit">Called with each chunk; what it reads of the chunk is gone afterwards.</param>
    public void Predict(Tensor hidden, IReadOnlyList<double> temperatures, bool whole, Action<Chunk> visit)
    {
        int rows = (int)hidden.shape[0], canvas = _config.CanvasLength, vocabulary = _config.VocabularySize;
        int step = whole ? rows : (int)Math.Max(1, chunkElements / ((long)canvas * vocabulary));
        for (int first = 0; first < rows; first += step)
        {
            using var scope = NewDisposeScope();
            int count = Math.Min(step, rows - first);
            visit(new Chunk(this, first, count, Scores(hidden.narrow(0, first, count).view(count * canvas, -1)), [.. temperatures.Skip(first).Take(count)]));
        }
    }

    public void Dispose() => _buffer?.Dispose();

    /// <summary>2x / cap for every position [N,V], at least float32, in the one buffer.</summary>
    private Tensor Scores(Tensor hidden)
    {
        Tensor table = Model.Stack.Embedding;
        long positions = hidden.shape[0], vocabulary = table.shape[0];
        double scale = 2 / _config.FinalLogitSoftcapping;
        if (Model.DType != _wide) return Kernels.Linear(hidden, table).to(_wide).mul_(scale);          // the product's own rounding is part of the model
        if (_buffer is null || _buffer.shape[0] < positions)
        {
            _buffer?.Dispose();
            _buffer = empty([positions, vocabulary], dtype: _wide, device: Model.Device).DetachFromDisposeScope();
        }
        Tensor scores = _buffer.narrow(0, 0, positions), scaled = hidden * scale;
        Kernels.LinearInto(scaled, table, scores);
        return scores;
    }

    /// <summary>Some rows' distributions.</summary>
    internal sealed class Chunk
    {
        private readonly CanvasPredictor _predictor;
        private readonly Tensor _weights;                                                                   // [N,V], exp(score - largest): not normed
        private readonly Tensor _totals;                                                                    // [N,1]
        private readonly Tensor? _rounded;                                                                  // [N,V]: probabilities of scores rounded to the model's dtype
        private readonly double[] _hostTotals;
        private readonly double[] _entropies;
        private readonly int[] _mostLikely;

        public Chunk(CanvasPredictor predictor, int first, int rows, Tensor scores, double[] temperatures)
        {
            (_predictor, First, Rows, _weights) = (predictor, first, rows, scores);
            double cap = predictor._config.FinalLogitSoftcapping;
            Canvas = predictor._config.CanvasLength;
            double[] ofPositions = [.. temperatures.SelectMany(t => Enumerable.Repeat(t, Canvas))];
            SoftmaxRows softmax = Kernels.CappedSoftmax(scores, cap, ofPositions, predictor.Model.DType, predictor.SliceElements);
            (_totals, _rounded, _hostTotals, _entropies, _mostLikely) = softmax;
        }

        /// <summary>The chunk's first row in the batch.</summary>
        public int First { get; }

        /// <summary>Its rows.</summary>
        public int Rows { get; }

        private int Canvas { get; }

        /// <summary>Whether every number of a row is one.</summary>
        public bool IsFinite(int row) => _hostTotals[(row * Canvas)..((row + 1) * Canvas)].All(double.IsFinite);

        /// <summary>[C]: a row's most likely tokens.</summary>
        public int[] MostLikely(int row) => _mostLikely[(row * Canvas)..((row + 1) * Canvas)];

        /// <summary>[C]: entropies of a row's positions, in nats.</summary>
        public double[] Entropies(int row) => _entropies[(row * Canvas)..((row + 1) * Canvas)];

        /// <summary>[rows,C,V]: the distributions, whole.</summary>
        public Tensor Probabilities() => (_weights / _totals).view(Rows, Canvas, -1);

        /// <summary>The most likely tokens as proposals.</summary>
        public Proposals Greedy(int row) => new(MostLikely(row), [.. _hostTotals[(row * Canvas)..((row + 1) * Canvas)].Select(t => 1 / t)]);

        /// <summary>Tokens that others have drawn, with their probabilities.</summary>
        public Proposals Given(int row, int[] tokens)
        {
            using var scope = NewDisposeScope();
            Tensor ids = tensor(Array.ConvertAll(tokens, id => (long)id), device: _weights.device).unsqueeze(-1);
            Tensor likely = _weights.narrow(0, row * Canvas, Canvas).gather(-1, ids) / _totals.narrow(0, row * Canvas, Canvas);
            return new Proposals(tokens, likely.to(ScalarType.Float64).cpu().data<double>().ToArray());
        }

        /// <summary>
        /// Draws a token for each candidate position by inverse transform sampling: the first whose cumulated probability exceeds a uniform number.
        /// </summary>
        /// <param name="row">The row within the chunk.</param>
        /// <param name="candidates">[C]; other positions get token 0 and probability 0.</param>
        /// <param name="uniforms">[C], in [0,1).</param>
        /// <param name="topK">So many most likely tokens; 0: all.</param>
        /// <param name="topP">The fewest most likely tokens that add up to this; 1: all.</param>
        public Proposals Draw(int row, bool[] candidates, double[] uniforms, int topK, double topP)
        {
            var proposals = new Proposals(new int[Canvas], new double[Canvas]);
            int[] positions = [.. Enumerable.Range(0, Canvas).Where(i => candidates[i])];
            foreach (int[] some in positions.Chunk((int)Math.Max(1, _predictor.SliceElements / _weights.shape[1])))
            {
                using var scope = NewDisposeScope();
                Tensor weights = _weights.index_select(0, tensor(Array.ConvertAll(some, i => (long)(row * Canvas) + i), device: _weights.device)), ids = null!;
                bool sorted = topK > 0 && topK < weights.shape[1] || topP < 1;
                if (sorted) (weights, ids) = Nucleus(weights, topK, topP);
                Tensor cumulated = weights.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
                Tensor threshold = tensor(some.Select(i => uniforms[i]).ToArray(), device: weights.device).unsqueeze(-1) * total;
                Tensor index = (cumulated <= threshold).sum(-1, keepdim: true).clamp_max(weights.shape[1] - 1);
                Tensor likely = weights.gather(-1, index).to(ScalarType.Float64) / total, token = sorted ? ids.gather(-1, index) : index;
                double[] numbers = cat([token.to(ScalarType.Float64), likely], 1).cpu().data<double>().ToArray();
                for (int k = 0; k < some.Length; k++)
                    (proposals.Tokens[some[k]], proposals.Probabilities[some[k]]) = ((int)numbers[2 * k], numbers[2 * k + 1]);
            }
            return proposals;
        }

        /// <summary>Σ probability · embedding · √H of a row's positions [C,H]: what the next pass is conditioned on.</summary>
        public Tensor ExpectedEmbeddings(int row, int rows)
        {
            ModelStack stack = _predictor.Model.Stack;
            int start = row * Canvas, count = rows * Canvas;
            Tensor expected = _rounded is null
                ? Kernels.MatMul(_weights.narrow(0, start, count), stack.Embedding).div_(_totals.narrow(0, start, count))
                : Kernels.MatMul(_rounded.narrow(0, start, count), stack.Embedding);
            return expected.mul_(stack.EmbeddingScale).view(rows, Canvas, -1);
        }

        /// <summary>The likeliest tokens in descending order, those that are left out with weight 0; and their ids.</summary>
        private static (Tensor Weights, Tensor Ids) Nucleus(Tensor weights, int topK, double topP)
        {
            (Tensor sorted, Tensor ids) = topK > 0 && topK < weights.shape[1] ? weights.topk(topK, -1) : weights.sort(-1, descending: true);
            if (topP >= 1) return (sorted, ids);
            Tensor cumulated = sorted.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
            return (sorted.masked_fill(cumulated - sorted >= total * topP, 0), ids);
        }
    }
}
