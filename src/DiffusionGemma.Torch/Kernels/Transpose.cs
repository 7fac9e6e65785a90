using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>Small transposes between rows of numbers.</summary>
internal static unsafe class Transpose
{
    /// <summary>Four rows of four numbers become four columns.</summary>
    /// <param name="from">The first row.</param>
    /// <param name="stride">Between rows.</param>
    /// <param name="to">Where the first number of each row goes.</param>
    /// <param name="apart">Between those and the next ones.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FourByFour(float* from, long stride, float* to, int apart)
    {
        Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + stride);
        Vector128<float> c = Vector128.Load(from + 2 * stride), d = Vector128.Load(from + 3 * stride);
        (Vector128<float> ab, Vector128<float> cd) = (Low(a, b), Low(c, d));
        FirstHalves(ab, cd).Store(to);
        SecondHalves(ab, cd).Store(to + apart);
        (ab, cd) = (High(a, b), High(c, d));
        FirstHalves(ab, cd).Store(to + 2 * apart);
        SecondHalves(ab, cd).Store(to + 3 * apart);
    }

    /// <summary>Two rows of four numbers become four pairs.</summary>
    /// <inheritdoc cref="FourByFour"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TwoByFour(float* from, long stride, float* to, int apart)
    {
        Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + stride), low = Low(a, b), high = High(a, b);
        *(double*)to = low.AsDouble().GetElement(0);
        *(double*)(to + apart) = low.AsDouble().GetElement(1);
        *(double*)(to + 2 * apart) = high.AsDouble().GetElement(0);
        *(double*)(to + 3 * apart) = high.AsDouble().GetElement(1);
    }

    /// <summary>a0 b0 a1 b1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.ZipLow(a, b);

    /// <summary>a2 b2 a3 b3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.ZipHigh(a, b);

    /// <summary>a0 a1 b0 b1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> FirstHalves(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.MoveLowToHigh(a, b) : AdvSimd.Arm64.ZipLow(a.AsDouble(), b.AsDouble()).AsSingle();

    /// <summary>a2 a3 b2 b3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> SecondHalves(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.MoveHighToLow(b, a) : AdvSimd.Arm64.ZipHigh(a.AsDouble(), b.AsDouble()).AsSingle();
}
