using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The losses of a step: means over the whole global batch.</summary>
internal sealed record StepLosses(double Diffusion, double Encoder, long Tokens);

/// <summary>
/// Gradients of one global batch, after NeMo AutoModel's DiffusionGemma recipe: encode the clean row; where a coin asks for it decode the
/// drawn canvas once without gradient; decode it with gradient; score it, and the encoder's next-token prediction. Unlike the recipe only
/// the drawn canvas is decoded: canvases never see each other, and the others would be scored with weight zero.
/// </summary>
internal sealed class TrainingStep(DiffusionGemmaModel model, FineTuneOptions options, long seed)
{
    /// <summary>Adds the step's gradients up in the optimiser.</summary>
    /// <param name="prepared">The global batch and its draws.</param>
    /// <param name="optimizer">Receives the gradients.</param>
    /// <param name="cancellation">Looked at between micro-batches.</param>
    public StepLosses Run(PreparedStep prepared, AdamW optimizer, CancellationToken cancellation)
    {
        using IDisposable gradients = enable_grad();
        DiffusionGemmaConfig config = model.Config;
        IReadOnlyList<TrainingExample> examples = prepared.Examples;
        IReadOnlyList<ExampleDraw> draws = prepared.Draws;

        // Denominators are counted over the global batch before any backward: gradients of micro-batches then simply add up.
        long scored = examples.Zip(draws, (e, d) => (long)Canvas(e, d).Count(supervised => supervised)).Sum();
        long pairs = examples.Sum(e => e.InputIds.Length - 1L);
        double diffusion = 0, encoder = 0;
        foreach (int[] rows in MicroBatchPlan.Split([.. examples.Select(e => e.InputIds.Length)], options.MicroBatchSize, options.MicroBatchTokens))
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            MicroBatch batch = MicroBatch.Build(
                [.. rows.Select(r => examples[r])], [.. rows.Select(r => draws[r])], config.CanvasLength, config.PadTokenId, model.Device);
            if (model.Adapter?.Config.Dropout > 0) manual_seed(unchecked(seed + 104_729L * prepared.Step + rows[0]));

            using EncoderCache cache = model.Encode(batch.InputIds, batch.AttentionMask);
            if (model.Device.type == DeviceType.CPU) HeapTrim.Run();
            Tensor? firstLogits = FirstPass(batch, cache);
            Tensor decoded = model.DecodeHidden(batch.CanvasIds, cache, firstLogits, batch.ConditionedRows, batch.Starts, batch.CanvasMask);
            firstLogits?.Dispose();

            (Tensor encoded, Tensor next, Tensor isPair) = NextTokens(cache, batch);
            (double diffusionSum, Tensor? decodedGradient) = HeadLoss.SumAndGradient(
                decoded, model.Stack.Embedding, batch.CanvasTargets, batch.Supervised, config.FinalLogitSoftcapping, 1.0 / Math.Max(scored, 1));
            (double encoderSum, Tensor? encodedGradient) = HeadLoss.SumAndGradient(
                encoded, model.Stack.Embedding, next, isPair, config.FinalLogitSoftcapping, options.EncoderLossWeight / Math.Max(pairs, 1));
            if (model.Device.type == DeviceType.CPU) HeapTrim.Run();                            // the most memory is held from here on
            AutogradFaults.Backward([(decoded, decodedGradient), (encoded, encodedGradient)]);
            optimizer.AccumulateGradients();
            diffusion += diffusionSum / Math.Max(scored, 1);
            encoder += encoderSum / Math.Max(pairs, 1);
        }
        return new StepLosses(diffusion, encoder, examples.Sum(e => (long)e.InputIds.Length));

        IEnumerable<bool> Canvas(TrainingExample example, ExampleDraw draw) =>
            example.LossMask.Skip(example.PrefixLength + draw.Block * config.CanvasLength).Take(config.CanvasLength);
    }

    /// <summary>What the encoder is scored on: of each row's hidden states all but the last [B,S-1,H], the tokens that follow, and which are real.</summary>
    public static (Tensor Hidden, Tensor Targets, Tensor Mask) NextTokens(EncoderCache cache, MicroBatch batch)
    {
        long length = batch.InputIds.shape[1] - 1;
        return (cache.LastHiddenState.narrow(1, 0, length), batch.InputIds.narrow(1, 1, length), batch.AttentionMask.narrow(1, 1, length));
    }

    /// <summary>
    /// What the scored pass is conditioned on, [n,C,V]: the canvases of those rows whose coin asks for it, decoded without gradient and without
    /// conditioning. Null where none does.
    /// </summary>
    private Tensor? FirstPass(MicroBatch batch, EncoderCache cache)
    {
        if (batch.ConditionedRows is { } none && none.shape[0] == 0) return null;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        Tensor hidden;
        if (batch.ConditionedRows is not { } rows)
        {
            hidden = model.DecodeHidden(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask);
        }
        else
        {
            using EncoderCache theirs = cache.Select(rows);
            hidden = model.DecodeHidden(
                batch.CanvasIds.index_select(0, rows), theirs, null, null, batch.Starts.index_select(0, rows), batch.CanvasMask.index_select(0, rows));
        }
        return model.Logits(hidden).MoveToOuterDisposeScope();
    }
}
