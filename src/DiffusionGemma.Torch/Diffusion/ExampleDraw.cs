using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Everything random of one example in one step.</summary>
/// <param name="CorruptedIds">[L]: supervised positions replaced with probability t, one t an example, by uniform tokens.</param>
/// <param name="Block">Which canvas of the response is scored.</param>
/// <param name="SelfConditioned">The coin: condition the scored pass on a first one.</param>
internal sealed record ExampleDraw(int[] CorruptedIds, int Block, bool SelfConditioned);

/// <summary>
/// The draws of NeMo AutoModel's recipe (D3PM-uniform corruption, Austin et al. 2021): functions of (seed, step, index in the global
/// batch) alone, so how a batch is spread over devices and micro-batches never matters. PyTorch's CPU generator, one a draw.
/// </summary>
internal static class ExampleDraws
{
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">Optimiser steps before this one.</param>
    /// <param name="index">The example's index in the global batch.</param>
    /// <param name="globalBatchSize">Examples a step.</param>
    /// <param name="example">The packed row.</param>
    /// <param name="canvasLength">Tokens a canvas.</param>
    /// <param name="vocabularySize">Replacements are drawn below it.</param>
    /// <param name="noiseFloor">The least t.</param>
    /// <param name="selfConditioningProbability">The coin's.</param>
    public static ExampleDraw Draw(
        long seed, long step, int index, int globalBatchSize, TrainingExample example, int canvasLength, int vocabularySize,
        double noiseFloor, double selfConditioningProbability)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        long sample = step * globalBatchSize + index, micro = seed + 7919 * step + index;

        int length = example.InputIds.Length, padded = example.PaddedLength;
        using var corruption = new Generator(unchecked((ulong)((seed + (2L << 42) + 2654435761L * sample) & long.MaxValue)));
        Tensor t = rand(1, 1, generator: corruption) * (1 - noiseFloor) + noiseFloor;
        bool[] hit = (rand(1, padded, generator: corruption) < t).data<bool>().ToArray();
        long[] noise = randint(0, vocabularySize, [1, padded], generator: corruption).data<long>().ToArray();
        var corrupted = new int[length];
        for (int i = 0; i < length; i++)
            corrupted[i] = hit[i] && example.LossMask[i] ? (int)noise[i] : example.InputIds[i];

        using var blocks = new Generator(unchecked((ulong)(micro + (1L << 42))));
        int block = (int)(rand(1, generator: blocks) * example.CanvasCount(canvasLength)).floor().item<float>();
        using var coins = new Generator(unchecked((ulong)micro));
        return new ExampleDraw(corrupted, block, rand(1, generator: coins).item<float>() < (float)selfConditioningProbability);
    }
}
