using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Draws by NeMo AutoModel's recipe (D3PM-uniform corruption, Austin et al. 2021): functions of (seed, step, index in the global batch)
/// alone, so that the split of a batch over devices and micro-batches does not matter. Each draw has a CPU generator of PyTorch's of its
/// own.
/// </summary>
internal static class ExampleDraws
{
    /// <summary>Draws corruption, canvas and coin of one example.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">Optimiser steps before this one.</param>
    /// <param name="index">The example's index in the global batch.</param>
    /// <param name="globalBatchSize">Examples a step.</param>
    /// <param name="example">The packed row.</param>
    /// <param name="canvasLength">Tokens a canvas.</param>
    /// <param name="vocabularySize">Number of tokens that replacements are drawn from.</param>
    /// <param name="noiseFloor">The smallest t.</param>
    /// <param name="selfConditioningProbability">Probability of self-conditioning.</param>
    public static ExampleDraw Draw(
        long seed, long step, int index, int globalBatchSize, TrainingExample example, int canvasLength, int vocabularySize,
        double noiseFloor, double selfConditioningProbability)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();

        int length = example.InputIds.Length, padded = example.PaddedLength;
        using var corruption = HostDraws.Generator(Seeds.Corruption(seed, step, index, globalBatchSize));
        Tensor t = HostDraws.Uniforms(corruption, 1, 1) * (1 - noiseFloor) + noiseFloor;
        bool[] hit = (HostDraws.Uniforms(corruption, 1, padded) < t).data<bool>().ToArray();
        long[] noise = HostDraws.Integers(corruption, vocabularySize, 1, padded).data<long>().ToArray();
        var corrupted = new int[length];
        for (int i = 0; i < length; i++)
            corrupted[i] = hit[i] && example.LossMask[i] ? (int)noise[i] : example.InputIds[i];

        using var blocks = HostDraws.Generator(Seeds.Canvas(seed, step, index));
        int block = (int)(HostDraws.Uniforms(blocks, 1) * example.CanvasCount(canvasLength)).floor().item<float>();
        using var coins = HostDraws.Generator(Seeds.SelfConditioning(seed, step, index));
        return new ExampleDraw(corrupted, block, HostDraws.Uniforms(coins, 1).item<float>() < (float)selfConditioningProbability);
    }
}
