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
    /// <param name="step">Steps before this one.</param>
    /// <param name="examples">The global batch, in its order.</param>
    /// <param name="optimizer">Receives the gradients; null: the losses alone are wanted.</param>
    /// <param name="cancellation">Looked at between micro-batches.</param>
    public StepLosses Run(int step, IReadOnlyList<TrainingExample> examples, AdamW? optimizer, CancellationToken cancellation)
    {
        using IDisposable gradients = set_grad_enabled(optimizer is not null);
        DiffusionGemmaConfig config = model.Config;
        ExampleDraw[] draws =
        [
            .. examples.Select((example, index) => ExampleDraws.Draw(
                seed, step, index, examples.Count, example, config.CanvasLength, config.VocabularySize, options.NoiseFloor,
                options.SelfConditioningProbability)),
        ];

        // Denominators are counted over the global batch before any backward: gradients of micro-batches then simply add up.
        long scored = examples.Zip(draws, (e, d) => (long)Canvas(e, d).Count(supervised => supervised)).Sum();
        long pairs = examples.Sum(e => e.InputIds.Length - 1L);
        double diffusion = 0, encoder = 0;
        for (int first = 0; first < examples.Count; first += options.MicroBatchSize)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            Range rows = first..Math.Min(first + options.MicroBatchSize, examples.Count);
            MicroBatch batch = MicroBatch.Build([.. examples.Take(rows)], draws[rows], config.CanvasLength, config.PadTokenId, model.Device);
            if (model.Adapter?.Config.Dropout > 0) manual_seed(unchecked(seed + 104_729L * step + first));

            using EncoderCache cache = model.Encode(batch.InputIds, batch.AttentionMask);
            Tensor? firstLogits = batch.AnySelfConditioned ? FirstPass(batch, cache) : null;
            Tensor decoded = model.DecodeHidden(batch.CanvasIds, cache, firstLogits, batch.SelfConditioned, batch.Starts, batch.CanvasMask);

            Tensor diffusionLoss = CrossEntropy(decoded, batch.CanvasTargets, batch.Supervised) / Math.Max(scored, 1);
            long length = batch.InputIds.shape[1] - 1;                          // each token but the last predicts its successor
            Tensor encoderLoss = CrossEntropy(
                cache.LastHiddenState.narrow(1, 0, length), batch.InputIds.narrow(1, 1, length), batch.AttentionMask.narrow(1, 1, length)) / Math.Max(pairs, 1);
            if (optimizer is not null)
            {
                AutogradFaults.Backward(diffusionLoss + encoderLoss * options.EncoderLossWeight);
                optimizer.AccumulateGradients();
            }
            diffusion += diffusionLoss.to(ScalarType.Float64).item<double>();
            encoder += encoderLoss.to(ScalarType.Float64).item<double>();
        }
        return new StepLosses(diffusion, encoder, examples.Sum(e => (long)e.InputIds.Length));

        IEnumerable<bool> Canvas(TrainingExample example, ExampleDraw draw) =>
            example.LossMask.Skip(example.PrefixLength + draw.Block * config.CanvasLength).Take(config.CanvasLength);
    }

    /// <summary>What the scored pass is conditioned on: the same canvas decoded without gradient and without conditioning.</summary>
    private Tensor FirstPass(MicroBatch batch, EncoderCache cache)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        return model.Logits(model.DecodeHidden(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask)).MoveToOuterDisposeScope();
    }

    /// <summary>Summed cross-entropy, in at least float32, of the positions that <paramref name="mask"/> [B,S] selects; hidden [B,S,H], targets [B,S].</summary>
    private Tensor CrossEntropy(Tensor hidden, Tensor targets, Tensor mask)
    {
        Tensor chosen = mask.flatten().nonzero().flatten();
        return HeadLoss.Sum(
            hidden.reshape(-1, hidden.shape[^1]).index_select(0, chosen), model.Stack.Embedding, targets.flatten().index_select(0, chosen),
            model.Config.FinalLogitSoftcapping);
    }
}
