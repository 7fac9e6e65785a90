using CsCheck;

namespace DiffusionGemma;

/// <summary>Reproducible draws of a CsCheck generator.</summary>
internal static class Draws
{
    public static IEnumerable<T> Of<T>(Gen<T> gen, int count, ulong seed = 1)
    {
        var random = new PCG(1, seed);
        for (int n = 0; n < count; n++)
            yield return gen.Generate(random, null, out _);
    }
}
