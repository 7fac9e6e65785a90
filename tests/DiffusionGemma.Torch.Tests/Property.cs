using CsCheck;

namespace DiffusionGemma;

/// <summary>
/// A property over drawn cases: the same cases in every run, one after the other on this thread (where the tensors' scope is).
/// </summary>
internal static class Property
{
    public static void Holds<T>(Gen<T> cases, int count, Action<T> check)
    {
        PCG generator = PCG.Parse("0000000000000");
        for (int n = 0; n < count; n++)
        {
            T drawn = cases.Generate(generator, null, out _);
            try
            {
                check(drawn);
            }
            catch (Exception e)
            {
                Assert.Fail($"Case {n}, {Check.Print(drawn)}: {e.Message}{Environment.NewLine}{e.StackTrace}");
            }
        }
    }
}
