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
            Tensor? firstLogits = batch.AnySelfConditioned ? FirstPass(batch, cache) : null;
            Tensor decoded = model.DecodeHidden(batch.CanvasIds, cache, firstLogits, batch.SelfConditioned, batch.Starts, batch.CanvasMask);

            Tensor diffusionLoss = CrossEntropy(model, decoded, batch.CanvasTargets, batch.Supervised) / Math.Max(scored, 1);
            Tensor encoderLoss = EncoderCrossEntropy(model, cache, batch) / Math.Max(pairs, 1);
            AutogradFaults.Backward(diffusionLoss + encoderLoss * options.EncoderLossWeight);
            optimizer.AccumulateGradients();
            diffusion += diffusionLoss.to(ScalarType.Float64).item<double>();
            encoder += encoderLoss.to(ScalarType.Float64).item<double>();
        }
        return new StepLosses(diffusion, encoder, examples.Sum(e => (long)e.InputIds.Length));

        IEnumerable<bool> Canvas(TrainingExample example, ExampleDraw draw) =>
            example.LossMask.Skip(example.PrefixLength + draw.Block * config.CanvasLength).Take(config.CanvasLength);
    }

    /// <summary>Summed next-token cross-entropy of the encoder: each token but a row's last predicts its successor.</summary>
    public static Tensor EncoderCrossEntropy(DiffusionGemmaModel model, EncoderCache cache, MicroBatch batch)
    {
        long length = batch.InputIds.shape[1] - 1;
        return CrossEntropy(model, cache.LastHiddenState.narrow(1, 0, length), batch.InputIds.narrow(1, 1, length), batch.AttentionMask.narrow(1, 1, length));
    }

    /// <summary>Summed cross-entropy, in at least float32, of the positions that <paramref name="mask"/> [B,S] selects; hidden [B,S,H], targets [B,S].</summary>
    public static Tensor CrossEntropy(DiffusionGemmaModel model, Tensor hidden, Tensor targets, Tensor mask)
    {
        Tensor chosen = mask.flatten().nonzero().flatten();
        return HeadLoss.Sum(
            hidden.reshape(-1, hidden.shape[^1]).index_select(0, chosen), model.Stack.Embedding, targets.flatten().index_select(0, chosen),
            model.Config.FinalLogitSoftcapping);
    }

    /// <summary>What the scored pass is conditioned on: the same canvas decoded without gradient and without conditioning.</summary>
    private Tensor FirstPass(MicroBatch batch, EncoderCache cache)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        return model.Logits(model.DecodeHidden(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask)).MoveToOuterDisposeScope();
    }
}
