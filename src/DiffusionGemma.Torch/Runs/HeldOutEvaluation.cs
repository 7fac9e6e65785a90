using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Losses at fixed noise levels: every example's drawn canvas is corrupted at t = 0.05, 0.15, ... 0.95 and decoded once at each. The draws
/// depend on the seed and the example's index alone, so that two evaluations differ by the weights and nothing else. Ranks take examples in
/// turn.
/// </summary>
internal static class HeldOutEvaluation
{
    public static EvaluationRecord Run(
        DiffusionGemmaModel model, IReadOnlyList<TrainingExample> examples, long seed, int step, RankGroups ranks,
        CancellationToken cancellation)
    {
        using IDisposable quiet = no_grad();
        DiffusionGemmaConfig config = model.Config;
        const int levelCount = EvaluationRecord.NoiseLevels;
        using var outer = NewDisposeScope();
        Tensor lossSums = zeros(levelCount + 1, dtype: ScalarType.Float64, device: model.Device);        // of each level; the encoder's
        long scored = 0, pairs = 0;
        for (int index = ranks.World.Rank; index - ranks.World.Rank < examples.Count; index += ranks.World.Size)
        {
            ranks.ThrowIfAnyCancelled(cancellation);
            ranks.World.Activity = $"evaluation after {step} steps";
            using var scope = NewDisposeScope();
            EncoderCache? cache = null;
            try
            {
                bool isIdle = index >= examples.Count;
                if (isIdle && ranks.Experts.Size == 1) continue;
                IEnumerable<MicroBatch> levels = isIdle
                    ? Enumerable.Repeat(MicroBatch.Idle(config.PadTokenId, model.Device), levelCount)
                    : Corrupted(examples[index], index, seed, levelCount, config, model.Device);
                foreach ((int level, MicroBatch batch) in levels.Index())
                {
                    cache ??= model.Encode(
                        batch.InputIds, batch.AttentionMask, batch.RealTokens, null, new PassContext(Pass.Encoder) { IsIdle = isIdle });
                    Tensor hidden = model.Decode(
                        batch.CanvasIds, cache, null, null, batch.Starts, batch.CanvasMask,
                        new PassContext(Pass.Decoder) { IsIdle = isIdle }, batch.RealCanvas);
                    lossSums.select(0, level).add_(HeadLoss.Sum(
                        hidden, model.Stack.Embedding, batch.CanvasTargets, batch.Supervised, config.FinalLogitSoftcapping));
                    if (level > 0) continue;
                    (Tensor encoded, Tensor next) = TrainingStep.NextTokens(cache, batch);
                    lossSums.select(0, levelCount).add_(
                        HeadLoss.Sum(encoded, model.Stack.Embedding, next, batch.Pairs, config.FinalLogitSoftcapping));
                    scored += batch.Supervised.shape[0];
                    pairs += batch.InputIds.shape[1] - 1;
                }
            }
            finally
            {
                cache?.Dispose();
            }
        }
        double[] all = ranks.Sum([.. model.Stack.Reads.Numbers(lossSums), scored, pairs]);
        double[] losses = [.. all.Take(levelCount).Select(sum => sum / Math.Max(all[^2], 1))];
        return new EvaluationRecord
        {
            Step = step, DiffusionLoss = losses.Average(), DiffusionLossByNoise = losses,
            EncoderLoss = all[^3] / Math.Max(all[^1], 1)
        };
    }

    /// <summary>
    /// An example's drawn canvas at every noise level. The same chances at all: what is corrupted at one is corrupted at all above it.
    /// </summary>
    private static IEnumerable<MicroBatch> Corrupted(
        TrainingExample example, int index, long seed, int levels, DiffusionGemmaConfig config, Device device)
    {
        using var generator = HostDraws.Generator(Seeds.HeldOut(seed, index));
        int block = (int)(HostDraws.Uniforms(generator, 1) * example.CanvasCount(config.CanvasLength)).floor().item<float>();
        int length = example.InputIds.Length;
        float[] chances = HostDraws.Uniforms(generator, length).data<float>().ToArray();
        long[] noise = HostDraws.Integers(generator, config.VocabularySize, length).data<long>().ToArray();
        for (int level = 0; level < levels; level++)
        {
            double t = (level + 0.5) / levels;
            int[] corrupted = [.. example.InputIds.Select((id, i) => example.LossMask[i] && chances[i] < t ? (int)noise[i] : id)];
            yield return MicroBatch.Build(
                [example], [new ExampleDraw(corrupted, block, false)], config.CanvasLength, config.PadTokenId, device);
        }
    }
}
