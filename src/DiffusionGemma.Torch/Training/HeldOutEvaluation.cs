using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Losses at fixed noise levels: every example's drawn canvas is corrupted at t = 0.05, 0.15, ... 0.95 and decoded once at each. The draws
/// depend on the seed and the example's index alone, so that two evaluations differ by the weights and nothing else.
/// </summary>
internal static class HeldOutEvaluation
{
    public static EvaluationRecord Run(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, long seed, int step, CancellationToken cancellation)
    {
        using IDisposable quiet = no_grad();
        DiffusionGemmaConfig config = model.Config;
        double[] sums = new double[EvaluationRecord.NoiseLevels];
        double encoderSum = 0;
        long scored = 0, pairs = 0;
        for (int index = 0; index < examples.Count; index++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            TrainingExample example = examples[index];
            using var generator = new Generator(unchecked((ulong)((seed + (3L << 42) + 2654435761L * index) & long.MaxValue)));
            int block = (int)(rand(1, generator: generator) * example.CanvasCount(config.CanvasLength)).floor().item<float>();
            int length = example.InputIds.Length;
            float[] chances = rand(length, generator: generator).data<float>().ToArray();
            long[] noise = randint(0, config.VocabularySize, [length], generator: generator).data<long>().ToArray();

            EncoderCache? cache = null;
            try
            {
                for (int level = 0; level < sums.Length; level++)
                {
                    // The same chances at every level: what is corrupted at one is corrupted at all above it.
                    double t = (level + 0.5) / sums.Length;
                    int[] corrupted = [.. example.InputIds.Select((id, i) => example.LossMask[i] && chances[i] < t ? (int)noise[i] : id)];
                    MicroBatch batch = MicroBatch.Build([example], [new ExampleDraw(corrupted, block, false)], config.CanvasLength, config.PadTokenId, model.Device);
                    cache ??= model.Encode(batch.InputIds, batch.AttentionMask);
                    Tensor hidden = model.DecodeHidden(batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask);
                    sums[level] += HeadLoss.Sum(hidden, model.Stack.Embedding, batch.CanvasTargets, batch.Supervised, config.FinalLogitSoftcapping);
                    if (level > 0) continue;
                    (Tensor encoded, Tensor next, Tensor isPair) = TrainingStep.NextTokens(cache, batch);
                    encoderSum += HeadLoss.Sum(encoded, model.Stack.Embedding, next, isPair, config.FinalLogitSoftcapping);
                    scored += batch.Supervised.sum().item<long>();
                    pairs += length - 1;
                }
            }
            finally
            {
                cache?.Dispose();
            }
        }
        double[] losses = [.. sums.Select(sum => sum / Math.Max(scored, 1))];
        return new EvaluationRecord { Step = step, DiffusionLoss = losses.Average(), DiffusionLossByNoise = losses, EncoderLoss = encoderSum / Math.Max(pairs, 1) };
    }
}
