using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One generator a row, seeded from the run's seed and the row's prompt, and asked only while the row is unfinished: a row's answer does
/// not depend on the batch that it is in. Drawn on the CPU, one number a position, whatever the device.
/// </summary>
internal sealed class SeededNoise : INoiseSource, IDisposable
{
    private readonly Generator[] _generators;
    private readonly bool[] _finished;

    public SeededNoise(IReadOnlyList<int[]> prompts, long seed)
    {
        _generators = [.. prompts.Select(p => new Generator(SeedOf(p, seed)))];
        _finished = new bool[prompts.Count];
    }

    /// <summary>Rows that draw nothing until told otherwise; their tokens come back as 0 and are never used.</summary>
    public void SetFinished(ReadOnlySpan<bool> finished) => finished.CopyTo(_finished);

    public Tensor Canvas(int rows, int canvasLength, int vocabularySize) =>
        Rows(rows, generator => randint(0, vocabularySize, [1, canvasLength], generator: generator), () => zeros(1, canvasLength, dtype: ScalarType.Int64));

    /// <summary>Inverse transform sampling: the first token whose cumulated probability exceeds a uniform number.</summary>
    public Tensor Sample(Tensor probabilities)
    {
        using var scope = NewDisposeScope();
        long canvas = probabilities.shape[1];
        Tensor uniform = Rows(
            (int)probabilities.shape[0], generator => rand(1, canvas, dtype: ScalarType.Float64, generator: generator),
            () => zeros(1, canvas, dtype: ScalarType.Float64)).to(probabilities.device);
        Tensor cumulated = probabilities.cumsum(-1, ScalarType.Float64);
        Tensor threshold = uniform.unsqueeze(-1) * cumulated.narrow(-1, cumulated.shape[^1] - 1, 1);
        return (cumulated <= threshold).sum(-1).clamp_max(probabilities.shape[^1] - 1).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        foreach (Generator generator in _generators) generator.Dispose();
    }

    private Tensor Rows(int rows, Func<Generator, Tensor> draw, Func<Tensor> nothing)
    {
        using var scope = NewDisposeScope();
        return cat([.. Enumerable.Range(0, rows).Select(r => _finished[r] ? nothing() : draw(_generators[r]))], 0).MoveToOuterDisposeScope();
    }

    /// <summary>FNV-1a over the seed and the prompt.</summary>
    private static ulong SeedOf(int[] prompt, long seed)
    {
        ulong hash = 14695981039346656037;
        foreach (long value in prompt.Select(id => (long)id).Prepend(seed)) hash = (hash ^ (ulong)value) * 1099511628211;
        return hash & long.MaxValue;
    }
}
