using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>Rotary position embedding for float32 on one core with AVX-512, in one pass over memory.</summary>
internal static unsafe class Avx512Rotation
{
    /// <summary>Of a number, about: memory counts too.</summary>
    private const long Operations = 20;

    /// <summary>[x1 ; x2] -> [x1 cos1 - x2 sin1 ; x2 cos2 + x1 sin2], or its transpose [x1 cos1 + x2 sin2 ; x2 cos2 - x1 sin1].</summary>
    /// <param name="x">[B,h,S,D], a head's numbers together.</param>
    /// <param name="cos">[B,1,S,D], contiguous.</param>
    /// <param name="sin">Likewise.</param>
    /// <param name="transposed">Whether the transpose is wanted.</param>
    /// <returns>[B,h,S,D], laid out as [B,S,h,D]; null where nothing was done: another dtype, device or processor, more threads than one, or a D that is no multiple of 32.</returns>
    public static Tensor? TryRun(Tensor x, Tensor cos, Tensor sin, bool transposed)
    {
        if (!Avx512Products.IsPlain(x) || !Avx512Products.IsPlainFloat(cos) || !Avx512Products.IsPlainFloat(sin) || x.stride(3) != 1 || x.shape[3] % 32 != 0) return null;
        (long batch, long heads, long length, long width) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3]);
        if (cos.shape[0] != batch) return null;
        Tensor y = empty(batch, length, heads, width, dtype: x.dtype);
        (long ofRow, long ofHead, long ofPlace) = (x.stride(0), x.stride(1), x.stride(2));
        float* from = (float*)NativeTensors.Data(x), c = (float*)NativeTensors.Data(cos), s = (float*)NativeTensors.Data(sin), to = (float*)NativeTensors.Data(y);
        KernelThreads.For(batch * length, Operations * x.numel(), (first, end) =>
        {
            for (long place = first; place < end; place++)
                for (long head = 0; head < heads; head++)
                    Rotate(
                        from + place / length * ofRow + place % length * ofPlace + head * ofHead, c + place * width, s + place * width, to + (place * heads + head) * width, width / 2, transposed);
        });
        GC.KeepAlive(x);
        GC.KeepAlive(cos);
        GC.KeepAlive(sin);
        GC.KeepAlive(y);
        return y.transpose(1, 2);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rotate(float* x, float* cos, float* sin, float* y, long half, bool transposed)
    {
        for (long i = 0; i < half; i += 16)
        {
            Lanes x1 = Vector512.Load(x + i), x2 = Vector512.Load(x + half + i), s1 = Vector512.Load(sin + i), s2 = Vector512.Load(sin + half + i);
            if (transposed) (s1, s2) = (-s2, -s1);
            Vector512.FusedMultiplyAdd(x1, Vector512.Load(cos + i), -(x2 * s1)).Store(y + i);
            Vector512.FusedMultiplyAdd(x2, Vector512.Load(cos + half + i), x1 * s2).Store(y + half + i);
        }
    }
}
