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
    public Tensor ExpectedEmbeddings() => ExpectedEmbeddings(_model, _weights, _softmax.Totals, _softmax.Rounded);

    /// <summary>Expected embeddings [1,C,H] of one row.</summary>
    /// <param name="row">The row within these, from 0.</param>
    public Tensor ExpectedEmbeddings(int row)
    {
        int start = row * Canvas;
        Tensor Of(Tensor all) => all.narrow(0, start, Canvas);
        return ExpectedEmbeddings(_model, Of(_weights), Of(_softmax.Totals), _softmax.Rounded is { } rounded ? Of(rounded) : null);
    }

    /// <summary>Expected embeddings [n,C,H] of n rows.</summary>
    /// <param name="model">The model.</param>
    /// <param name="weights">[n · C, V], unnormalised probabilities.</param>
    /// <param name="totals">[n · C, 1]: their sums.</param>
    /// <param name="rounded">[n · C, V]: probabilities in the model's narrower dtype, which take the others' place; null: none.</param>
    public static Tensor ExpectedEmbeddings(DiffusionGemmaModel model, Tensor weights, Tensor totals, Tensor? rounded)
    {
        var context = new PassContext(Pass.Decoder);
        Tensor expected = rounded is not null
            ? model.Stack.ExpectedEmbedding(rounded, null, context) : model.Stack.ExpectedEmbedding(weights, totals, context);
        return expected.view(weights.shape[0] / model.Config.CanvasLength, model.Config.CanvasLength, -1);
    }

    /// <inheritdoc/>
    public Proposals Propose(int row, int[] tokens)
    {
        using var scope = NewDisposeScope();
        Tensor ids = tensor(Array.ConvertAll(tokens, id => (long)id), device: _weights.device).unsqueeze(-1);
        Tensor totals = _softmax.Totals.narrow(0, row * Canvas, Canvas);
        Tensor likely = _weights.narrow(0, row * Canvas, Canvas).gather(-1, ids) / totals;
        return new Proposals(tokens, _model.Stack.Reads.Numbers(likely));
    }

    private sealed class RowDistribution(CanvasDistributions all, int row) : IRowDistribution
    {
        private readonly Range _positions = (row * all.Canvas)..((row + 1) * all.Canvas);

        public bool IsFinite => Totals.All(double.IsFinite);

        public int[] Best => all._softmax.MostLikely[_positions];

        public double[] Entropies => all._softmax.Entropies[_positions];

        private double[] Totals => all._softmax.HostTotals[_positions];

        public Proposals ProposeBest() => new(Best, [.. Totals.Select(total => 1 / total)]);

        public Proposals Sample(bool[] candidates, double[] uniforms, int topK, double topP)
        {
            var proposals = new Proposals(new int[all.Canvas], new double[all.Canvas]);
            int[] positions = [.. Enumerable.Range(0, all.Canvas).Where(i => candidates[i])];
            foreach (int[] some in positions.Chunk((int)Math.Max(1, all._sliceElements / all._weights.shape[1])))
            {
                using var scope = NewDisposeScope();
                Tensor places = tensor(Array.ConvertAll(some, i => (long)(row * all.Canvas) + i), device: all._weights.device);
                Tensor drawn = TokenDraw.Draw(
                    TorchOperators.SelectRows(all._weights, places),
                    tensor(some.Select(i => uniforms[i]).ToArray(), device: all._weights.device).unsqueeze(-1), topK, topP);
                double[] numbers = all._model.Stack.Reads.Numbers(drawn);
                for (int k = 0; k < some.Length; k++)
                    (proposals.Tokens[some[k]], proposals.Probabilities[some[k]]) = ((int)numbers[2 * k], numbers[2 * k + 1]);
            }
            return proposals;
        }

        public double[] LabelScores(int labels) => [];
    }
}
