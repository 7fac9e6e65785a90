using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>
/// <see cref="RmsNorm"/> for float32 on one core with AVX-512: each row once while it is in the first-level cache, in place of six operators forward and
/// ten backward. A row's result does not depend on how many others there are.
/// </summary>
internal static unsafe class Avx512RmsNorm
{
    /// <summary>Of a number, about: memory counts too.</summary>
    private const long Operations = 20;

    /// <summary>y = r · x · w.</summary>
    /// <param name="x">[...,H], contiguous.</param>
    /// <param name="weight">[H], or null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <returns>y; null where nothing was done: another dtype, device or processor, more threads than one, strides, or an H that is no multiple of sixteen.</returns>
    public static Tensor? TryForward(Tensor x, Tensor? weight, double epsilon)
    {
        if (!Fits(x, weight)) return null;
        Tensor y = empty(x.shape, dtype: x.dtype);
        long width = x.shape[^1], rows = x.numel() / width;
        float* from = (float*)NativeTensors.Data(x), to = (float*)NativeTensors.Data(y), w = weight is null ? null : (float*)NativeTensors.Data(weight);
        KernelThreads.For(rows, Operations * x.numel(), (first, end) =>
        {
            for (long row = first; row < end; row++) Forward(from + row * width, w, to + row * width, width, epsilon);
        });
        GC.KeepAlive(x);
        GC.KeepAlive(weight);
        GC.KeepAlive(y);
        return y;
    }

    /// <summary>dx = r · (g w) - x · r³ · mean(g w x); and dw += Σ g r x.</summary>
    /// <param name="x">[...,H], contiguous.</param>
    /// <param name="gradient">g, as x.</param>
    /// <param name="weight">[H], or null: ones.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="buffer">Of dw [H], or null: not wanted.</param>
    /// <returns>dx, or null as above.</returns>
    public static Tensor? TryBackward(Tensor x, Tensor gradient, Tensor? weight, double epsilon, Tensor? buffer)
    {
        if (!Fits(x, weight) || !Fits(gradient, buffer)) return null;
        Tensor dx = empty(x.shape, dtype: x.dtype);
        long width = x.shape[^1], rows = x.numel() / width;
        float* from = (float*)NativeTensors.Data(x), g = (float*)NativeTensors.Data(gradient), to = (float*)NativeTensors.Data(dx);
        float* w = weight is null ? null : (float*)NativeTensors.Data(weight), dw = buffer is null ? null : (float*)NativeTensors.Data(buffer);
        for (long row = 0; row < rows; row++, from += width, g += width, to += width) Backward(from, g, w, to, dw, width, epsilon);
        GC.KeepAlive(x);
        GC.KeepAlive(gradient);
        GC.KeepAlive(weight);
        GC.KeepAlive(buffer);
        GC.KeepAlive(dx);
        return dx;
    }

    private static bool Fits(Tensor rows, Tensor? weight) =>
        Avx512Products.IsPlainFloat(rows) && rows.shape[^1] % 16 == 0 && (weight is null || Avx512Products.IsPlainFloat(weight));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Forward(float* x, float* w, float* y, long width, double epsilon)
    {
        Lanes r = Vector512.Create((float)Inverse(x, width, epsilon));
        for (long i = 0; i < width; i += 16)
        {
            Lanes scaled = Vector512.Load(x + i) * r;
            (w == null ? scaled : scaled * Vector512.Load(w + i)).Store(y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward(float* x, float* g, float* w, float* dx, float* dw, long width, double epsilon)
    {
        double inverse = Inverse(x, width, epsilon);
        Lanes products = Lanes.Zero, r = Vector512.Create((float)inverse);
        for (long i = 0; i < width; i += 16)
        {
            Lanes ofX = Vector512.Load(x + i), weighted = Vector512.Load(g + i);
            if (dw != null) Vector512.FusedMultiplyAdd(weighted * r, ofX, Vector512.Load(dw + i)).Store(dw + i);
            if (w != null) weighted *= Vector512.Load(w + i);
            weighted.Store(dx + i);
            products = Vector512.FusedMultiplyAdd(weighted, ofX, products);
        }
        Lanes mean = Vector512.Create((float)(-inverse * inverse * inverse * Vector512.Sum(products) / width));
        for (long i = 0; i < width; i += 16)
            Vector512.FusedMultiplyAdd(Vector512.Load(x + i), mean, Vector512.Load(dx + i) * r).Store(dx + i);
    }

    /// <summary>r = (mean(x²) + ε)^-½.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Inverse(float* x, long width, double epsilon)
    {
        Lanes squares = Lanes.Zero;
        for (long i = 0; i < width; i += 16)
        {
            Lanes v = Vector512.Load(x + i);
            squares = Vector512.FusedMultiplyAdd(v, v, squares);
        }
        return 1 / Math.Sqrt(Vector512.Sum(squares) / width + epsilon);
    }
}
