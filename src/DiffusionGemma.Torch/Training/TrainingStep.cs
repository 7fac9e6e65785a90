using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The losses of a step: means over the whole global batch.</summary>
internal sealed record StepLosses(double Diffusion, double Encoder, long Tokens);

/// <summary>
/// Gradients of one global batch, after NeMo AutoModel's DiffusionGemma recipe: encode the clean row; where a coin asks for it decode the
/// drawn canvas once without gradient; decode it with gradient; score it, and the encoder's next-token prediction. Unlike the recipe only
/// the drawn canvas is decoded: canvases never see each other, and the others would be scored with weight zero.
/// <para>
/// On several ranks each takes its rows of every round; those that own the experts between them go through the same passes together, with rows or without:
/// which passes there are follows from the draws of all rows, which every rank knows.
/// </para>
/// <para>On a CPU several workers of a rank may take a micro-batch each; what they add up is summed in their order, so that a step has one result.</para>
/// </summary>
internal sealed class TrainingStep(DiffusionGemmaModel model, FineTuneOptions options, long seed, RankGroups ranks, AdamW optimizer, Workers workers)
{
    private readonly WorkerGradients?[] _gradients = [.. Enumerable.Range(0, workers.Count).Select(worker => worker == 0 ? null : optimizer.AddWorker())];

    /// <summary>Micro-batches that are worked on at once.</summary>
    private int Places => ranks.World.Size * workers.Count;

    /// <summary>Adds the step's gradients up in the optimiser. A collective.</summary>
    /// <param name="prepared">The global batch and its draws.</param>
    /// <param name="cancellation">Looked at between micro-batches.</param>
    public StepLosses Run(PreparedStep prepared, CancellationToken cancellation) =>
        Run(prepared, MicroBatchPlan.Rounds([.. prepared.Examples.Select(e => e.InputIds.Length)], options.Run.MicroBatchSize, options.Run.MicroBatchTokens, Places), cancellation);

    /// <summary>The same with every row of the batch in one micro-batch, which every worker of every rank takes at once.</summary>
    public void RunEverywhere(PreparedStep prepared, CancellationToken cancellation) =>
        Run(prepared, [[.. Enumerable.Repeat<int[]>([.. Enumerable.Range(0, prepared.Examples.Count)], Places)]], cancellation);

    private StepLosses Run(PreparedStep prepared, IReadOnlyList<int[][]> rounds, CancellationToken cancellation)
    {
        DiffusionGemmaConfig config = model.Config;
        IReadOnlyList<TrainingExample> examples = prepared.Examples;

        // Denominators are counted over the global batch before any backward: gradients of micro-batches then simply add up.
        long scored = examples.Zip(prepared.Draws, (e, d) => (long)Canvas(e, d).Count(supervised => supervised)).Sum(), pairs = examples.Sum(e => e.InputIds.Length - 1L);
        var means = new (double Diffusion, double Encoder)[workers.Count];
        foreach (int[][] round in rounds)
        {
            ranks.ThrowIfAnyCancelled(cancellation);
            workers.Run(worker =>
            {
                int[] rows = round[ranks.World.Rank * workers.Count + worker];
                int[] ofSet = ranks.Experts.Size == 1 ? rows : [.. round.Skip(ranks.FirstRankOfExpertSet).Take(ranks.Experts.Size).SelectMany(r => r)];
                if (ofSet.Length == 0) return;
                GradientSink sink = _gradients[worker]?.Sink ?? optimizer.Gradients;
                (double diffusion, double encoder) = RunMicroBatch(prepared, rows, ofSet, sink, Math.Max(scored, 1), Math.Max(pairs, 1));
                means[worker] = (means[worker].Diffusion + diffusion, means[worker].Encoder + encoder);
            });
        }
        At(prepared, "summing gradients");
        optimizer.ReduceGradients();
        double[] losses = ranks.Sum(means.Sum(m => m.Diffusion), means.Sum(m => m.Encoder));
        return new StepLosses(losses[0], losses[1], examples.Sum(e => (long)e.InputIds.Length));

        IEnumerable<bool> Canvas(TrainingExample example, ExampleDraw draw) =>
            example.LossMask.Skip(example.PrefixLength + draw.Block * config.CanvasLength).Take(config.CanvasLength);
    }

    /// <summary>A micro-batch forward and backward: its parts of both means.</summary>
    /// <param name="prepared">The global batch.</param>
    /// <param name="rows">Those of the micro-batch; none where this rank only takes part in the others'.</param>
    /// <param name="ofSet">Those of all ranks that own the experts between them.</param>
    /// <param name="sink">Memory that gradients are added to.</param>
    /// <param name="scored">Canvas positions of the global batch that are scored.</param>
    /// <param name="pairs">Next tokens of the global batch that are scored.</param>
    private (double Diffusion, double Encoder) RunMicroBatch(PreparedStep prepared, int[] rows, int[] ofSet, GradientSink sink, long scored, long pairs)
    {
        using IDisposable gradients = enable_grad();
        using var scope = NewDisposeScope();
        DiffusionGemmaConfig config = model.Config;
        bool isIdle = rows.Length == 0;
        MicroBatch batch = isIdle
            ? MicroBatch.Idle(config.PadTokenId, model.Device)
            : MicroBatch.Build(
                [.. rows.Select(r => prepared.Examples[r])], [.. rows.Select(r => prepared.Draws[r])], config.CanvasLength, config.PadTokenId, model.Device);
        var context = new PassContext(Pass.Encoder)
        {
            Gradients = sink, IsIdle = isIdle, RecomputesActivations = options.Run.ActivationCheckpointing,
        };

        At(prepared, "encoding");
        using DropoutStream? encoderDropout = Dropout(prepared, rows, 0), firstDropout = Dropout(prepared, rows, 1), decoderDropout = Dropout(prepared, rows, 2);
        using EncoderCache cache = model.Encode(batch.InputIds, batch.AttentionMask, null, context with { Dropout = encoderDropout });
        At(prepared, "first pass");
        context = context with { Pass = Pass.Decoder };
        Tensor? firstLogits = ofSet.Any(r => prepared.Draws[r].SelfConditioned) ? FirstPass(batch, cache, context with { Dropout = firstDropout }) : null;
        At(prepared, "decoding");
        Tensor decoded = model.Decode(
            batch.CanvasIds, cache, firstLogits, batch.ConditionedRows, batch.Starts, batch.CanvasMask, context with { Dropout = decoderDropout });
        firstLogits?.Dispose();

        (Tensor encoded, Tensor next, Tensor isPair) = NextTokens(cache, batch);
        (double diffusionSum, Tensor? decodedGradient) = HeadLoss.SumAndGradient(
            decoded, model.Stack.Embedding, batch.CanvasTargets, batch.Supervised, config.FinalLogitSoftcapping, 1.0 / scored, sink);
        (double encoderSum, Tensor? encodedGradient) = HeadLoss.SumAndGradient(
            encoded, model.Stack.Embedding, next, isPair, config.FinalLogitSoftcapping, options.Objective.EncoderLossWeight / pairs, sink);
        if (model.Device.type == DeviceType.CPU) HeapTrim.Run();                                // the most memory is held from here on
        At(prepared, "backward");
        context.Backward.Run([(decoded, decodedGradient), (encoded, encodedGradient)]);
        return (diffusionSum / scored, encoderSum / pairs);
    }

    /// <summary>What the encoder is scored on: of each row's hidden states all but the last [B,S-1,H], the tokens that follow, and which are real.</summary>
    public static (Tensor Hidden, Tensor Targets, Tensor Mask) NextTokens(EncoderCache cache, MicroBatch batch)
    {
        long length = batch.InputIds.shape[1] - 1;
        return (cache.LastHiddenState.narrow(1, 0, length), batch.InputIds.narrow(1, 1, length), batch.AttentionMask.narrow(1, 1, length));
    }

    /// <summary>The dropout masks of one pass over some rows; each pass draws its own, so they do not depend on the passes a rank makes in between.</summary>
    private DropoutStream? Dropout(PreparedStep step, int[] rows, int pass) =>
        options.Lora is not null && model.Adapter is { Config.Dropout: > 0 and double probability }
            ? new DropoutStream(probability, unchecked(seed + 104_729L * step.Step + rows.FirstOrDefault() + ((long)pass << 40)))
            : null;

    private void At(PreparedStep step, string phase) => ranks.World.Activity = $"step {step.Step}, {phase}";

    /// <summary>
    /// What the scored pass is conditioned on, [n,C,V]: the canvases of those rows whose coin asks for it, decoded without gradient and without
    /// conditioning. Null where none does; the rank then only takes part in the others' pass.
    /// </summary>
    private Tensor? FirstPass(MicroBatch batch, EncoderCache cache, PassContext context)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        if (batch.ConditionedRows is not { } rows) return model.Logits(Decode(batch, cache, context), context).MoveToOuterDisposeScope();
        bool joins = rows.shape[0] == 0;
        if (joins && ranks.Experts.Size == 1) return null;
        if (joins) rows = zeros(1, dtype: ScalarType.Int64, device: rows.device);
        using EncoderCache theirs = cache.Select(rows);
        Tensor Of(Tensor whole) => whole.index_select(0, rows);
        Tensor hidden = Decode(
            batch with { CanvasIds = Of(batch.CanvasIds), Starts = Of(batch.Starts), CanvasMask = Of(batch.CanvasMask) }, theirs,
            context with { IsIdle = context.IsIdle || joins });
        return joins ? null : model.Logits(hidden, context).MoveToOuterDisposeScope();
    }

    private Tensor Decode(MicroBatch batch, EncoderCache cache, PassContext context) =>
        model.Decode(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask, context);
}
