using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// All that is random about one row: a generator seeded from the run's seed and the row's prompt, so that an answer does not depend on the
/// rows beside it. Drawn on the CPU, one number a position, whatever the device.
/// </summary>
internal sealed class RowNoise(int[] prompt, long seed) : IDisposable
{
    private readonly Generator _generator = new(SeedOf(prompt, seed));

    /// <summary>Uniformly random tokens below <paramref name="vocabularySize"/>.</summary>
    public int[] Canvas(int length, int vocabularySize)
    {
        using Tensor drawn = randint(0, vocabularySize, [length], generator: _generator);
        return Array.ConvertAll(drawn.data<long>().ToArray(), id => (int)id);
    }

    /// <summary>Uniform numbers in [0,1), one a position.</summary>
    public double[] Uniforms(int length)
    {
        using Tensor drawn = rand(length, dtype: ScalarType.Float64, generator: _generator);
        return drawn.data<double>().ToArray();
    }

    public void Dispose() => _generator.Dispose();

    /// <summary>FNV-1a over the seed and the prompt.</summary>
    private static ulong SeedOf(int[] prompt, long seed)
    {
        ulong hash = 14695981039346656037;
        foreach (long value in prompt.Select(id => (long)id).Prepend(seed)) hash = (hash ^ (ulong)value) * 1099511628211;
        return hash & long.MaxValue;
    }
}
