using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// libtorch's product of float32 matrices on a CPU, in parts that depend on the matrices' sizes alone. Each part is computed on one thread,
/// so that the result has the same bits on any number of threads, as libtorch's own division of a product among threads does not. Where
/// that is impossible (<see cref="MklThreads.IsFound"/>), libtorch divides the product.
/// </summary>
internal static class LibTorchProduct
{
    /// <summary>Multiplications and additions of a part: a millisecond of one core.</summary>
    private const long PartOperations = 100_000_000;

    /// <summary>Rows or columns of a part, at least: fewer would take longer to lay out anew than to multiply.</summary>
    private const long LeastSize = 64;

    private const long MostParts = 16;

    /// <summary>y = a b, or y += a b.</summary>
    /// <param name="a">[N,K].</param>
    /// <param name="b">[K,M].</param>
    /// <param name="y">[N,M]; overwritten, or added to.</param>
    /// <param name="adds">True to add.</param>
    public static void Run(Tensor a, Tensor b, Tensor y, bool adds)
    {
        (long rows, long inner, long columns) = (a.shape[0], a.shape[1], b.shape[1]);
        int side = columns > rows ? 1 : 0;
        long size = Math.Max(rows, columns), operations = 2 * rows * inner * columns;
        long parts = MklThreads.IsFound ? Math.Min(Math.Min(operations / PartOperations, size / LeastSize), MostParts) : 1;
        if (parts <= 1)
        {
            Part(a, b, y, adds);
            return;
        }
        KernelThreads.ForParts((int)parts, part =>
        {
            using var scope = NewDisposeScope();
            long first = size * part / parts, count = size * (part + 1) / parts - first;
            Tensor left = side == 0 ? a.narrow(0, first, count) : a, right = side == 1 ? b.narrow(1, first, count) : b;
            Part(left, right, y.narrow(side, first, count), adds);
        });
    }

    /// <summary>y = a b, or y += a b, of each expert's rows.</summary>
    /// <param name="a">[n,K] of each.</param>
    /// <param name="b">[K,M] of each.</param>
    /// <param name="y">[n,M] of each; overwritten, or added to.</param>
    /// <param name="adds">True to add.</param>
    public static void RunGrouped(IReadOnlyList<Tensor> a, IReadOnlyList<Tensor> b, IReadOnlyList<Tensor> y, bool adds)
    {
        void OfExpert(int e)
        {
            if (a[e].numel() > 0) Part(a[e], b[e], y[e], adds);
        }
        if (MklThreads.IsFound) KernelThreads.ForParts(a.Count, OfExpert);
        else for (int e = 0; e < a.Count; e++) OfExpert(e);
    }

    private static void Part(Tensor a, Tensor b, Tensor y, bool adds)
    {
        int? before = MklThreads.IsFound ? MklThreads.Exchange(1) : null;
        using IDisposable quiet = no_grad();                                                     // the thread may be one of OpenMP's own
        try
        {
            if (adds) y.addmm_(a, b, beta: 1, alpha: 1);
            else TorchOperators.MatrixProductInto(a, b, y);
        }
        finally
        {
            if (before is { } threads) MklThreads.Exchange(threads);
        }
    }
}
