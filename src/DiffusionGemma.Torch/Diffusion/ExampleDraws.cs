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
