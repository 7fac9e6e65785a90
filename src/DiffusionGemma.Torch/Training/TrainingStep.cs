using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One optimiser step, after NeMo AutoModel's DiffusionGemma recipe. A micro-batch: encode the clean rows; where a self-conditioning coin
/// asks for it decode the drawn canvases once without gradient; decode them with gradient; score them, and the encoder's next-token
/// prediction. Unlike the recipe only the drawn canvas is decoded: canvases never see each other, and the others would be scored with
/// weight zero.
/// <para>
/// On several ranks each takes its rows of every round. Ranks that share a set of experts make the same passes together, with rows or
/// without: the draws of all rows, which every rank knows, decide which passes there are.
/// </para>
/// <para>On a CPU several workers of a rank may take a micro-batch each; their gradients are summed in the workers' order, so that a step
/// has one result.</para>
/// </summary>
/// <param name="model">This rank's part of the model.</param>
/// <param name="trained">The parameters that train.</param>
/// <param name="options">How to train.</param>
/// <param name="steps">Steps of the whole run.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="ranks">The groups that this rank trains in.</param>
/// <param name="optimizer">Holds the gradients and updates the weights.</param>
/// <param name="workers">Threads that work on micro-batches.</param>
internal sealed class TrainingStep(
    DiffusionGemmaModel model, IReadOnlyList<TrainedParameter> trained, FineTuneOptions options, int steps, long seed, RankGroups ranks,
    AdamW optimizer, Workers workers)
{
    private readonly LearningRateSchedule _schedule = new(
        options.Optimizer.InitialLearningRate, options.LearningRate, options.Optimizer.MinLearningRate, options.WarmupOf(steps), steps,
        options.Optimizer.Decay, options.Optimizer.DecayFraction);

    private readonly WorkerGradients?[] _gradients =
        [.. Enumerable.Range(0, workers.Count).Select(worker => worker == 0 ? null : optimizer.AddWorker())];

    private readonly StepMemory _memory = new(model.Device);

    /// <summary>Micro-batches that are worked on at the same time, by all ranks.</summary>
    private int Parallelism => ranks.World.Size * workers.Count;

    /// <summary>Trains on a global batch. A collective.</summary>
    /// <param name="batch">The global batch and its draws.</param>
    /// <param name="waited">How long the batch was waited for.</param>
    /// <param name="cancellation">Checked between micro-batches; the weights are then as before.</param>
    /// <exception cref="TrainingException">A loss or the gradient norm is not a finite number; the weights are as before.</exception>
    public StepRecord Run(PreparedStep batch, TimeSpan waited, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();

        // The losses' denominators are counted over the global batch before any backward: gradients of micro-batches then simply add up.
        var counts = TokenCounts.Count(batch, model.Config.CanvasLength);
        int[] lengths = [.. batch.Examples.Select(e => e.InputIds.Length)];
        IReadOnlyList<int[][]> rounds =
            MicroBatchPlan.Rounds(lengths, options.Run.MicroBatchSize, options.Run.MicroBatchTokens, Parallelism);
        Tensor losses = RunMicroBatches(batch, rounds, counts, cancellation);

        Announce(batch, "summing gradients");
        optimizer.ReduceGradients();
        // Both losses and the norm are read together: on one device the step's only wait for it.
        Tensor sums = cat([losses, optimizer.SquaredNorm().view(1)]);
        ranks.World.AllReduce(sums);
        double[] read = model.Stack.Reads.Numbers(sums);
        (double diffusion, double encoder) = (read[0], read[1]);
        double norm = optimizer.ClipGradients(read[2], options.Optimizer.MaxGradientNorm);
        ThrowIfNotFinite(batch, diffusion, encoder, norm);

        double rate = _schedule.Rate(batch.Step);
        Announce(batch, "optimiser");
        optimizer.Step(rate);
        if (options.Lora is null) model.Changed.UnionWith(trained.Select(p => p.Name));
        return new StepRecord
        {
            Step = batch.Step,
            Epoch = batch.Epoch,
            Loss = diffusion + options.Objective.EncoderLossWeight * encoder,
            DiffusionLoss = diffusion,
            EncoderLoss = encoder,
            GradientNorm = norm,
            LearningRate = rate,
            Tokens = counts.Tokens,
            WaitSeconds = waited.TotalSeconds,
            Seconds = (waited + clock.Elapsed).TotalSeconds,
            PeakBytes = _memory.TakePeak(),
        };
    }

    /// <summary>
    /// Forward and backward of a whole batch as one micro-batch, on every worker of every rank at the same time, without an optimiser step.
    /// A collective.
    /// </summary>
    /// <param name="batch">The rows and their draws.</param>
    /// <param name="cancellation">Checked before the passes.</param>
    public void RunEverywhere(PreparedStep batch, CancellationToken cancellation)
    {
        int[] rows = [.. Enumerable.Range(0, batch.Examples.Count)];
        int[][] round = [.. Enumerable.Repeat(rows, Parallelism)];
        _ = RunMicroBatches(batch, [round], TokenCounts.Count(batch, model.Config.CanvasLength), cancellation);
        Announce(batch, "summing gradients");
        optimizer.ReduceGradients();
    }

    /// <summary>Adds up the gradients of this rank's micro-batches.</summary>
    /// <returns>[2] float64, on the device: this rank's parts of both mean losses.</returns>
    private Tensor RunMicroBatches(
        PreparedStep batch, IReadOnlyList<int[][]> rounds, TokenCounts counts, CancellationToken cancellation)
    {
        Tensor[] means = [.. Enumerable.Range(0, workers.Count).Select(_ => zeros(2, dtype: ScalarType.Float64, device: model.Device))];
        foreach (int[][] round in rounds)
        {
            ranks.ThrowIfAnyCancelled(cancellation);
            workers.Run(worker =>
            {
                int[] rows = round[ranks.World.Rank * workers.Count + worker];
                int[] ofSet = ranks.Experts.Size == 1
                    ? rows
                    : [.. round.Skip(ranks.FirstRankOfExpertSet).Take(ranks.Experts.Size).SelectMany(r => r)];
                if (ofSet.Length == 0) return;
                GradientSink sink = _gradients[worker]?.Sink ?? optimizer.Gradients;
                RunMicroBatch(batch, rows, ofSet, sink, means[worker], Math.Max(counts.Scored, 1), Math.Max(counts.Pairs, 1));
            });
        }
        foreach (Tensor mean in means.Skip(1)) means[0].add_(mean);
        return means[0];
    }

    /// <summary>Runs a micro-batch forward and backward, and adds its parts of both mean losses.</summary>
    /// <param name="prepared">The global batch.</param>
    /// <param name="rows">Those of the micro-batch; none where this rank only takes part in the others'.</param>
    /// <param name="ofSet">Those of all ranks that own the experts between them.</param>
    /// <param name="sink">Memory that gradients are added to.</param>
    /// <param name="means">[2] float64, added to.</param>
    /// <param name="scored">Canvas positions of the global batch that are scored.</param>
    /// <param name="pairs">Next tokens of the global batch that are scored.</param>
    private void RunMicroBatch(
        PreparedStep prepared, int[] rows, int[] ofSet, GradientSink sink, Tensor means, long scored, long pairs)
    {
        using IDisposable gradients = enable_grad();
        using var scope = NewDisposeScope();
        DiffusionGemmaConfig config = model.Config;
        bool isIdle = rows.Length == 0;
        MicroBatch batch = isIdle
            ? MicroBatch.Idle(config.PadTokenId, model.Device)
            : MicroBatch.Build(
                [.. rows.Select(r => prepared.Examples[r])], [.. rows.Select(r => prepared.Draws[r])], config.CanvasLength,
                config.PadTokenId, model.Device);
        var context = new PassContext(Pass.Encoder)
        {
            Gradients = sink, IsIdle = isIdle, RecomputesActivations = options.Run.ActivationCheckpointing, IsBatchInvariant = false,
        };

        Announce(prepared, "encoding");
        using DropoutStream? encoderDropout = Dropout(prepared, rows, 0), firstDropout = Dropout(prepared, rows, 1),
            decoderDropout = Dropout(prepared, rows, 2);
        using EncoderCache cache = model.Encode(
            batch.InputIds, batch.AttentionMask, batch.RealTokens, null, context with { Dropout = encoderDropout });
        Announce(prepared, "first pass");
        context = context with { Pass = Pass.Decoder };
        Tensor? firstLogits = ofSet.Any(r => prepared.Draws[r].SelfConditioned)
            ? FirstPass(batch, cache, context with { Dropout = firstDropout }) : null;
        Announce(prepared, "decoding");
        Tensor decoded = model.Decode(
            batch.CanvasIds, cache, firstLogits, batch.ConditionedRows, batch.Starts, batch.CanvasMask,
            context with { Dropout = decoderDropout }, batch.RealCanvas);
        firstLogits?.Dispose();

        (Tensor encoded, Tensor next) = NextTokens(cache, batch);
        (Tensor diffusionSum, Tensor? decodedGradient) = HeadLoss.SumAndGradient(
            decoded, model.Stack.Embedding, batch.CanvasTargets, batch.Supervised, config.FinalLogitSoftcapping, 1.0 / scored, sink);
        (Tensor encoderSum, Tensor? encodedGradient) = HeadLoss.SumAndGradient(
            encoded, model.Stack.Embedding, next, batch.Pairs, config.FinalLogitSoftcapping, options.Objective.EncoderLossWeight / pairs,
            sink);
        means.add_(stack([diffusionSum.div_(scored), encoderSum.div_(pairs)]));
        if (model.Device.type == DeviceType.CPU) HeapTrim.Run();                                // the most memory is held from here on
        _memory.Sample();
        Announce(prepared, "backward");
        context.Backward.Run([(decoded, decodedGradient), (encoded, encodedGradient)]);
        _memory.Sample();
    }

    /// <summary>
    /// The encoder's next-token prediction: hidden states of all positions but the last [B,S-1,H], and the tokens that follow them;
    /// <see cref="MicroBatch.Pairs"/> has the places that are scored.
    /// </summary>
    public static (Tensor Hidden, Tensor Targets) NextTokens(EncoderCache cache, MicroBatch batch)
    {
        long length = batch.InputIds.shape[1] - 1;
        return (cache.LastHiddenState.narrow(1, 0, length), batch.InputIds.narrow(1, 1, length));
    }

    /// <summary>
    /// The dropout masks of one pass over some rows; each pass draws its own, so they do not depend on the passes a rank makes in between.
    /// </summary>
    private DropoutStream? Dropout(PreparedStep step, int[] rows, int pass) =>
        options.Lora is not null && model.Adapter is { Config.Dropout: > 0 and double probability }
            ? new DropoutStream(probability, Seeds.Dropout(seed, step.Step, rows.FirstOrDefault(), pass))
            : null;

    /// <summary>Names the phase for the error of a rank that the others wait for.</summary>
    private void Announce(PreparedStep step, string phase) => ranks.World.Activity = $"step {step.Step + 1}, {phase}";

    /// <summary>
    /// Logits [n,C,V] that the scored pass is conditioned on: the canvases of the rows whose coin is true, decoded without gradient and
    /// without conditioning. Null where no coin is; the rank then only takes part in the others' pass.
    /// </summary>
    private Tensor? FirstPass(MicroBatch batch, EncoderCache cache, PassContext context)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        if (batch.ConditionedRows is not { } rows)
            return model.Logits(Decode(batch, cache, context, batch.RealCanvas), context).MoveToOuterDisposeScope();
        bool joins = rows.shape[0] == 0;
        if (joins && ranks.Experts.Size == 1) return null;
        if (joins) rows = zeros(1, dtype: ScalarType.Int64, device: rows.device);
        using EncoderCache theirs = cache.Select(rows);
        Tensor Of(Tensor whole) => TorchOperators.SelectRows(whole, rows);
        Tensor hidden = Decode(
            batch with { CanvasIds = Of(batch.CanvasIds), Starts = Of(batch.Starts), CanvasMask = Of(batch.CanvasMask) }, theirs,
            context with { IsIdle = context.IsIdle || joins }, batch.RealConditionedCanvas);
        return joins ? null : model.Logits(hidden, context).MoveToOuterDisposeScope();
    }

    private Tensor Decode(MicroBatch batch, EncoderCache cache, PassContext context, Tensor? real) =>
        model.Decode(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask, context, real);

    /// <summary>Throws on every rank alike: all have the same numbers.</summary>
    private void ThrowIfNotFinite(PreparedStep step, double diffusion, double encoder, double norm)
    {
        string? term = !double.IsFinite(diffusion) ? "diffusion loss"
            : !double.IsFinite(encoder) ? "encoder loss"
            : !double.IsFinite(norm) ? "gradient norm"
            : null;
        if (term is null) return;
        ranks.EndTogether = true;
        string rows = string.Join(", ", step.Rows);
        throw new TrainingException(
            $"Step {step.Step + 1}: the {term} is not a finite number (rows {rows}). The weights are as of the step before. Lower the "
            + "learning rate, or look at those rows.")
        {
            Step = step.Step,
        };
    }
}
