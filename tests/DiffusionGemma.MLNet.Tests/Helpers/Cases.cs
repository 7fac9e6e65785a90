using CsCheck;

namespace DiffusionGemma;

internal static class Cases
{
    /// <summary>Checks generated cases, the same in every run. (CsCheck's own Sample fixes its first case alone.)</summary>
    public static void Check<T>(this Gen<T> generator, int count, Action<T> check)
    {
        var random = PCG.Parse("0000KWk8UsJ5");
        for (int i = 0; i < count; i++)
        {
            T value = generator.Generate(random, null, out _);
            try
            {
                check(value);
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"Case {i}, {CsCheck.Check.Print(value)}: {error.Message}", error);
            }
        }
    }
}
