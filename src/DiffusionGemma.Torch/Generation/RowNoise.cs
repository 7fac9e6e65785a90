using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// All random draws of one row, by a generator that is seeded from the run's seed and the row's prompt, so that an answer does not depend
/// on other rows. Drawn on the CPU on any device, one number a position.
/// </summary>
internal sealed class RowNoise(int[] prompt, long seed) : IDisposable
{
    private readonly Generator _generator = new(HashSeed(prompt, seed), CPU);

    /// <summary>Draws uniformly random tokens below <paramref name="vocabularySize"/>.</summary>
    public int[] Canvas(int length, int vocabularySize)
    {
        using Tensor drawn = HostDraws.Integers(_generator, vocabularySize, length);
        return Array.ConvertAll(drawn.data<long>().ToArray(), id => (int)id);
    }

    /// <summary>Draws uniform numbers in [0,1), one a position.</summary>
    public double[] Uniforms(int length)
    {
        using Tensor drawn = rand(length, dtype: ScalarType.Float64, device: CPU, generator: _generator);
        return drawn.data<double>().ToArray();
    }

    public void Dispose() => _generator.Dispose();

    /// <summary>Hashes the seed and the prompt (FNV-1a).</summary>
    private static ulong HashSeed(int[] prompt, long seed)
    {
        ulong hash = 14695981039346656037;
        foreach (long value in prompt.Select(id => (long)id).Prepend(seed)) hash = (hash ^ (ulong)value) * 1099511628211;
        return hash & long.MaxValue;
    }
}
