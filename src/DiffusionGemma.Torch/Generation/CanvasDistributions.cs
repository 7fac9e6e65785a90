using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Distributions over the vocabulary for the canvas positions of some rows of a batch.</summary>
internal sealed class CanvasDistributions : ICanvasDistributions
{
    private readonly DiffusionGemmaModel _model;
    private readonly Tensor _weights;                                       // [N,V], exp(score - largest): not normalised
    private readonly SoftmaxRows _softmax;
    private readonly long _sliceElements;

    /// <param name="model">The model.</param>
    /// <param name="first">The first of the rows.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="weights">[N,V], unnormalised probabilities of the rows' N = rows · C positions.</param>
    /// <param name="softmax">Totals, entropies and most likely tokens of the positions.</param>
    /// <param name="sliceElements">Numbers that a draw takes at a time.</param>
    public CanvasDistributions(DiffusionGemmaModel model, int first, int rows, Tensor weights, SoftmaxRows softmax, long sliceElements) =>
        (_model, First, Rows, _weights, _softmax, _sliceElements) = (model, first, rows, weights, softmax, sliceElements);

    /// <summary>The first of the rows in the batch.</summary>
    public int First { get; }

    /// <summary>The number of rows.</summary>
    public int Rows { get; }

    private int Canvas => _model.Config.CanvasLength;

    /// <summary>The distributions of one row.</summary>
    /// <param name="index">The row within these, from 0.</param>
    public IRowDistribution Row(int index) => new RowDistribution(this, index);

    /// <summary>[rows,C,V]: all probabilities.</summary>
    public Tensor Probabilities() => (_weights / _softmax.Totals).view(Rows, Canvas, -1);

    /// <summary>Expected embeddings [rows,C,H] of all rows, which condition the next pass.</summary>
    public Tensor ExpectedEmbeddings() => ExpectedEmbeddings(0, Rows);

    private Tensor ExpectedEmbeddings(int row, int rows)
    {
        int start = row * Canvas, count = rows * Canvas;
        var context = new PassContext(Pass.Decoder);
        Tensor expected = _softmax.Rounded is { } rounded
            ? _model.Stack.ExpectedEmbedding(rounded.narrow(0, start, count), null, context)
            : _model.Stack.ExpectedEmbedding(_weights.narrow(0, start, count), _softmax.Totals.narrow(0, start, count), context);
        return expected.view(rows, Canvas, -1);
    }

    private sealed class RowDistribution(CanvasDistributions all, int row) : IRowDistribution
    {
        private readonly Range _positions = (row * all.Canvas)..((row + 1) * all.Canvas);

        public bool IsFinite => Totals.All(double.IsFinite);

        public int[] Best => all._softmax.MostLikely[_positions];

        public double[] Entropies => all._softmax.Entropies[_positions];

        private double[] Totals => all._softmax.HostTotals[_positions];

        public Proposals ProposeBest() => new(Best, [.. Totals.Select(total => 1 / total)]);

        public Proposals Propose(int[] tokens)
        {
            using var scope = NewDisposeScope();
            Tensor ids = tensor(Array.ConvertAll(tokens, id => (long)id), device: all._weights.device).unsqueeze(-1);
            Tensor totals = all._softmax.Totals.narrow(0, row * all.Canvas, all.Canvas);
            Tensor likely = all._weights.narrow(0, row * all.Canvas, all.Canvas).gather(-1, ids) / totals;
            return new Proposals(tokens, all._model.Stack.Reads.Numbers(likely));
        }

        /// <summary>Inverse transform sampling: the first token whose cumulated probability exceeds a uniform number.</summary>
        public Proposals Sample(bool[] candidates, double[] uniforms, int topK, double topP)
        {
            var proposals = new Proposals(new int[all.Canvas], new double[all.Canvas]);
            int[] positions = [.. Enumerable.Range(0, all.Canvas).Where(i => candidates[i])];
            foreach (int[] some in positions.Chunk((int)Math.Max(1, all._sliceElements / all._weights.shape[1])))
            {
                using var scope = NewDisposeScope();
                Tensor places = tensor(Array.ConvertAll(some, i => (long)(row * all.Canvas) + i), device: all._weights.device);
                Tensor weights = TorchOperators.SelectRows(all._weights, places), ids = null!;
                bool sorted = topK > 0 && topK < weights.shape[1] || topP < 1;
                if (sorted) (weights, ids) = Nucleus(weights, topK, topP);
                Tensor cumulated = weights.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
                Tensor threshold = tensor(some.Select(i => uniforms[i]).ToArray(), device: weights.device).unsqueeze(-1) * total;
                Tensor index = (cumulated <= threshold).sum(-1, keepdim: true).clamp_max(weights.shape[1] - 1);
                Tensor likely = weights.gather(-1, index).to(ScalarType.Float64) / total, token = sorted ? ids.gather(-1, index) : index;
                double[] numbers = all._model.Stack.Reads.Numbers(cat([token.to(ScalarType.Float64), likely], 1));
                for (int k = 0; k < some.Length; k++)
                    (proposals.Tokens[some[k]], proposals.Probabilities[some[k]]) = ((int)numbers[2 * k], numbers[2 * k + 1]);
            }
            return proposals;
        }

        public double[] LabelScores(int labels) => [];

        public Tensor ExpectedEmbeddings() => all.ExpectedEmbeddings(row, 1);

        /// <summary>
        /// Sorts tokens by weight, descending, with weight 0 for those outside the nucleus; returns the weights and the tokens' ids.
        /// </summary>
        private static (Tensor Weights, Tensor Ids) Nucleus(Tensor weights, int topK, double topP)
        {
            (Tensor sorted, Tensor ids) = topK > 0 && topK < weights.shape[1] ? weights.topk(topK, -1) : weights.sort(-1, descending: true);
            if (topP >= 1) return (sorted, ids);
            Tensor cumulated = sorted.cumsum(-1, ScalarType.Float64), total = cumulated.narrow(-1, cumulated.shape[1] - 1, 1);
            return (sorted.masked_fill(cumulated - sorted >= total * topP, 0), ids);
        }
    }
}
