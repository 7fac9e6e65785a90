using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

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

        int length = example.InputIds.Length, padded = example.PaddedLength;
        using var corruption = new Generator(Seeds.Corruption(seed, step, index, globalBatchSize));
        Tensor t = rand(1, 1, generator: corruption) * (1 - noiseFloor) + noiseFloor;
        bool[] hit = (rand(1, padded, generator: corruption) < t).data<bool>().ToArray();
        long[] noise = randint(0, vocabularySize, [1, padded], generator: corruption).data<long>().ToArray();
        var corrupted = new int[length];
        for (int i = 0; i < length; i++)
            corrupted[i] = hit[i] && example.LossMask[i] ? (int)noise[i] : example.InputIds[i];

        using var blocks = new Generator(Seeds.Canvas(seed, step, index));
        int block = (int)(rand(1, generator: blocks) * example.CanvasCount(canvasLength)).floor().item<float>();
        using var coins = new Generator(Seeds.SelfConditioning(seed, step, index));
        return new ExampleDraw(corrupted, block, rand(1, generator: coins).item<float>() < (float)selfConditioningProbability);
    }
}
