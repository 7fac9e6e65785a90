using System.Runtime.CompilerServices;

namespace DiffusionGemma;

/// <summary>RMSNorm of one row while it is in the first-level cache, in place of six operators forward and ten backward.</summary>
internal static unsafe class RmsNormRows<L>
    where L : struct, ILanes<L>
{
    /// <summary>y = r · x · w.</summary>
    /// <param name="x">[width].</param>
    /// <param name="w">[width], or null: ones.</param>
    /// <param name="y">[width]; written.</param>
    /// <param name="width">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="epsilon">ε.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward(float* x, float* w, float* y, long width, double epsilon)
    {
        L r = L.Create((float)Inverse(x, width, epsilon));
        for (long i = 0; i < width; i += L.Count)
        {
            L scaled = L.Load(x + i) * r;
            (w == null ? scaled : scaled * L.Load(w + i)).Store(y + i);
        }
    }

    /// <summary>dx = r · (g w) - x · r³ · mean(g w x), and dw += g r x.</summary>
    /// <param name="x">[width].</param>
    /// <param name="g">[width].</param>
    /// <param name="w">[width], or null: ones.</param>
    /// <param name="dx">[width]; written.</param>
    /// <param name="dw">[width], added to; or null: not wanted.</param>
    /// <param name="width">A multiple of <see cref="ILanes{T}.Count"/>.</param>
    /// <param name="epsilon">ε.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Backward(float* x, float* g, float* w, float* dx, float* dw, long width, double epsilon)
    {
        double inverse = Inverse(x, width, epsilon);
        L products = L.Create(0), r = L.Create((float)inverse);
        for (long i = 0; i < width; i += L.Count)
        {
            L ofX = L.Load(x + i), weighted = L.Load(g + i);
            if (dw != null) L.MultiplyAdd(weighted * r, ofX, L.Load(dw + i)).Store(dw + i);
            if (w != null) weighted *= L.Load(w + i);
            weighted.Store(dx + i);
            products = L.MultiplyAdd(weighted, ofX, products);
        }
        L mean = L.Create((float)(-inverse * inverse * inverse * products.Sum() / width));
        for (long i = 0; i < width; i += L.Count) L.MultiplyAdd(L.Load(x + i), mean, L.Load(dx + i) * r).Store(dx + i);
    }

    /// <summary>r = (mean(x²) + ε)^-½.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Inverse(float* x, long width, double epsilon)
    {
        L squares = L.Create(0);
        for (long i = 0; i < width; i += L.Count)
        {
            L v = L.Load(x + i);
            squares = L.MultiplyAdd(v, v, squares);
        }
        return 1 / Math.Sqrt(squares.Sum() / width + epsilon);
    }
}
