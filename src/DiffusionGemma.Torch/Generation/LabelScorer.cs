using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Probabilities of labels by the model's belief before it settles: one decoder pass over each of some canvases of random tokens, from
/// which the probability of every label follows exactly, given that one of them is the answer; their mean is the score.
/// <code>
/// canvas 0   r r r r ...   ->   0.7 0.2 0.1
/// canvas 1   r r r r ...   ->   0.9 0.1 0.0          score   0.8 0.15 0.05
/// </code>
/// </summary>
public static class LabelScorer
{
    /// <summary>Scores the labels of a grammar as answers to each prompt.</summary>
    /// <param name="model">The model, with or without an adapter.</param>
    /// <param name="prompts">Token ids of each prompt, generation prompt included.</param>
    /// <param name="options">
    /// <see cref="GenerationOptions.Grammar"/> made by <see cref="AnswerGrammar.OneOf"/>, its vocabulary, and the seed of the canvases.
    /// Temperatures have no effect: logits are taken as they are.
    /// </param>
    /// <param name="canvases">Random canvases of each prompt, one decoder pass each.</param>
    /// <param name="batchSize">Prompts that are scored together.</param>
    /// <param name="callbacks">For a caller that goes on without prompts that cannot be scored: their results are null.</param>
    /// <param name="cancellation">Checked before every decoder pass.</param>
    /// <returns>[prompts][labels], each adding up to 1; in the labels' order.</returns>
    /// <exception cref="ArgumentException">The grammar is no list of labels, or a prompt is empty or too long.</exception>
    /// <exception cref="GrammarException">A label is longer than a canvas, or cannot be spelled.</exception>
    /// <exception cref="NotFiniteLogitException">A logit is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<double[]?> Score(
        DiffusionGemmaModel model, IReadOnlyList<int[]> prompts, GenerationOptions options, int canvases = 32, int batchSize = 8,
        GenerationCallbacks? callbacks = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(canvases, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        if (options.Grammar is not { EndsApart: true } grammar)
            throw new ArgumentException(
                "GenerationOptions.Grammar must be one of AnswerGrammar.OneOf, without a thought.", nameof(options));
        int canvas = model.Config.CanvasLength;
        var resolved = ResolvedGenerationOptions.Resolve(options with { MaxNewTokens = canvas, TMin = 0, TMax = 0 }, model.Folder,
            model.Config);
        RequireShort(grammar, resolved.Automaton!, canvas);
        callbacks ??= new GenerationCallbacks();
        var results = new double[]?[prompts.Count];
        // Prompts of like lengths are encoded together.
        int[] order = [.. Enumerable.Range(0, prompts.Count).OrderByDescending(index => prompts[index].Length)];
        GenerationRequest[] requests = [.. prompts.Select(prompt => new GenerationRequest(prompt))];
        var prefixes = new Dictionary<LoraAdapter, int[]> { [model.Adapter ?? LoraAdapter.None] = SharedPrefix.Find(requests) };
        using var batch = new DenoisingBatch(model);
        using var head = new CanvasHead(model);
        foreach (int[] indices in order.Chunk(batchSize))
        {
            batch.Admit(Rows(indices, requests, resolved, model, callbacks), prefixes);
            foreach (DenoisingRow row in batch.Rows) row.BeginCanvas();
            for (int i = 0; i < canvases && batch.Rows.Count > 0; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                callbacks.BeforePass?.Invoke();
                if (i > 0)
                    foreach (DenoisingRow row in batch.Rows) row.RestartCanvas();
                Pass(batch, head, results, grammar.Labels.Count, canvases, callbacks);
            }
            foreach (DenoisingRow row in batch.Rows.ToArray())
            {
                batch.Remove(row);
                row.Dispose();
            }
        }
        return results;
    }

    /// <summary>One decoder pass over a canvas of each row: a canvas's share of its score is added.</summary>
    private static void Pass(
        DenoisingBatch batch, CanvasHead head, double[]?[] results, int labels, int canvases, GenerationCallbacks callbacks)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor hidden = batch.Decode();
        var failed = new List<DenoisingRow>();
        double[] temperatures = [.. batch.Rows.Select(row => row.Temperature)];
        head.Visit(hidden, temperatures, [.. batch.Rows.Select(row => row.Grammar)], whole: false, chunk =>
        {
            DenoisingRow row = batch.Rows[chunk.First];
            IRowDistribution distribution = chunk.Row(0);
            if (!distribution.IsFinite)
            {
                Fail(callbacks, row.Index, new NotFiniteLogitException(row.Index, 0, 0));
                results[row.Index] = null;
                failed.Add(row);
                return;
            }
            double[] scores = distribution.LabelScores(labels), sums = results[row.Index] ??= new double[labels];
            for (int label = 0; label < labels; label++) sums[label] += scores[label] / canvases;
        });
        foreach (DenoisingRow row in failed)
        {
            batch.Remove(row);
            row.Dispose();
        }
    }

    private static List<DenoisingRow> Rows(
        int[] indices, GenerationRequest[] requests, ResolvedGenerationOptions options, DiffusionGemmaModel model,
        GenerationCallbacks callbacks)
    {
        var rows = new List<DenoisingRow>();
        try
        {
            foreach (int index in indices)
            {
                try
                {
                    rows.Add(new DenoisingRow(index, requests[index], options, model));
                }
                catch (ArgumentException fault)
                {
                    Fail(callbacks, index, fault);
                }
            }
        }
        catch
        {
            rows.ForEach(row => row.Dispose());
            throw;
        }
        return rows;
    }

    private static void Fail(GenerationCallbacks callbacks, int index, Exception fault)
    {
        if (callbacks.Failed is null) ExceptionDispatchInfo.Throw(fault);
        callbacks.Failed(index, fault);
    }

    /// <summary>A longer label's probability would be that of its beginning.</summary>
    private static void RequireShort(AnswerGrammar grammar, TokenAutomaton automaton, int canvas)
    {
        int[] fewest = automaton.FewestTokens(grammar.Labels.Count);
        for (int label = 0; label < fewest.Length; label++)
            if (fewest[label] > canvas)
                throw new GrammarException($"The label '{grammar.Labels[label]}' takes {fewest[label]} tokens, and a canvas has {canvas}: "
                    + "labels that are scored must fit in one.", grammar.Labels[label]);
    }
}
