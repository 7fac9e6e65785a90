using System.Numerics;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace DiffusionGemma;

/// <summary>
/// Distributions of one row's canvas positions, given that its answer is in the row's language: entropies of the marginals q, the likeliest
/// answer, and proposals that are one exact sample of the whole canvas.
/// </summary>
/// <typeparam name="T">The scores' type.</typeparam>
internal sealed class GrammarDistribution<T> : ICanvasDistributions, IRowDistribution
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly DiffusionGemmaModel _model;
    private readonly RowGrammar _grammar;
    private readonly GrammarStep<T> _step;
    private readonly Tensor _scores;
    private readonly Tensor _host;
    private readonly int _vocabulary;
    private Tensor? _marginals;

    /// <summary>Conditions the model's distributions on the row's language.</summary>
    /// <param name="model">The model.</param>
    /// <param name="row">The row's index in the batch.</param>
    /// <param name="grammar">The row's grammar.</param>
    /// <param name="scores">[C,V]: logits over the temperature, but for a constant of each position; overwritten once the next pass is
    /// conditioned.</param>
    public GrammarDistribution(DiffusionGemmaModel model, int row, RowGrammar grammar, Tensor scores)
    {
        (_model, First, _grammar, _scores) = (model, row, grammar, scores);
        _host = model.Stack.Reads.OnHost(scores);
        _vocabulary = (int)scores.shape[1];
        _step = new GrammarStep<T>(grammar.Automaton, (int)scores.shape[0]);
        IsFinite = Read();
    }

    public int First { get; }

    public int Rows => 1;

    public bool IsFinite { get; }

    public int[] Best => [.. _step.Best];

    public double[] Entropies => [.. _step.Entropies];

    public IRowDistribution Row(int index) => this;

    public Proposals ProposeBest() => Propose(0, _step.Best);

    public Proposals Propose(int row, int[] tokens) =>
        new([.. tokens], [.. tokens.Select((token, position) => Probability(position, token))]);

    /// <summary>Draws the whole canvas at once: positions of one answer depend on each other.</summary>
    public Proposals Sample(bool[] candidates, double[] uniforms, int topK, double topP)
    {
        // Narrowed distributions shape the draw alone; where they leave no answer, the step draws from all tokens.
        if ((topK > 0 || topP < 1) && Narrowed(topK, topP) is { } narrowed)
        {
            narrowed.Step.Draw(_grammar.Count, _grammar.State, position =>
                narrowed.Logits[position], uniforms, position => _grammar.Known[position]);
            return Filled(narrowed.Step);
        }
        _step.Draw(_grammar.Count, _grammar.State, Logits, uniforms, position => _grammar.Known[position]);
        return Filled(_step);
    }

    public double[] LabelScores(int labels) => _step.Scores(labels);

    public Tensor Probabilities()
    {
        Tensor marginals = Marginals();
        return (marginals / marginals.sum(-1, keepdim: true)).unsqueeze(0);
    }

    public Tensor ExpectedEmbeddings()
    {
        using var scope = NewDisposeScope();
        var context = new PassContext(Pass.Decoder);
        Tensor marginals = Marginals(), totals = marginals.sum(-1, keepdim: true);
        Tensor expected = _model.DType == marginals.dtype
            ? _model.Stack.ExpectedEmbedding(marginals, totals, context)
            : _model.Stack.ExpectedEmbedding((marginals / totals).to(_model.DType), null, context);
        return expected.unsqueeze(0).MoveToOuterDisposeScope();
    }

    public Tensor ExpectedEmbeddings(int row) => ExpectedEmbeddings();

    private ReadOnlySpan<T> Logits(int position) => Positions.Slice(position * _vocabulary, _vocabulary);

    /// <summary>[C · V]: the scores on the host, later the marginals.</summary>
    private Span<T> Positions => NativeTensors.Elements<T>(_host);

    /// <summary>Reads the scores, and conditions them on the language.</summary>
    /// <returns>False where a score is not a finite number.</returns>
    private bool Read()
    {
        for (int i = 0; i < _grammar.Count; i++)
        {
            ReadOnlySpan<T> logits = Logits(i);
            if (!T.IsFinite(TensorPrimitives.Sum(logits))) return false;
            if (_grammar.Known[i] >= 0) _step.Pin(i, _grammar.Known[i]);
            else _step.Read(i, logits);
        }
        if (!_step.Condition(_grammar.Count, _grammar.State, _grammar.Ends))
            throw new InvalidOperationException(
                "The grammar leaves no answer, though its pinned tokens do: this is a fault of the library.");
        _step.Best.AsSpan(_grammar.Count).Fill(_grammar.Fill);
        return true;
    }

    private Proposals Filled(GrammarStep<T> step)
    {
        step.Sample.AsSpan(_grammar.Count).Fill(_grammar.Fill);
        return new Proposals([.. step.Sample], [.. step.Sample.Select((token, position) => Probability(position, token))]);
    }

    private double Probability(int position, int token)
    {
        if (position >= _grammar.Count) return token == _grammar.Fill ? 1 : 0;
        if (_grammar.Known[position] >= 0) return token == _grammar.Known[position] ? 1 : 0;
        int @class = token < _grammar.Automaton.VocabularySize ? _grammar.Automaton.Classes[token] : -1;
        return @class < 0 ? 0 : Math.Exp(double.CreateChecked(Logits(position)[token]) + _step.Gates(position)[@class]);
    }

    /// <summary>[C,V]: the marginals, in place of the scores.</summary>
    private Tensor Marginals()
    {
        if (_marginals is not null) return _marginals;
        var row = new T[_vocabulary];
        for (int i = 0; i < (int)_scores.shape[0]; i++)
        {
            int known = i >= _grammar.Count ? _grammar.Fill : _grammar.Known[i];
            if (known < 0) _step.WriteMarginals(i, Logits(i), row);
            else
            {
                Array.Fill(row, T.CreateChecked(GrammarStep<T>.Floor));
                row[known] = T.One;
            }
            row.CopyTo(Positions[(i * _vocabulary)..]);
        }
        if (!ReferenceEquals(_host, _scores)) _scores.copy_(_host);
        return _marginals = _scores;
    }

    /// <summary>The step's distributions with all but the most likely tokens left out; null where these leave no answer.</summary>
    private (GrammarStep<T> Step, T[][] Logits)? Narrowed(int topK, double topP)
    {
        var step = new GrammarStep<T>(_grammar.Automaton, (int)_scores.shape[0]);
        var kept = new T[_grammar.Count][];
        for (int i = 0; i < kept.Length; i++)
        {
            kept[i] = Nucleus.Narrow(Logits(i), topK, topP);
            if (_grammar.Known[i] >= 0) step.Pin(i, _grammar.Known[i]);
            else step.Read(i, kept[i]);
        }
        return step.Condition(kept.Length, _grammar.State, _grammar.Ends) ? (step, kept) : null;
    }
}
