using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace DiffusionGemma.Benchmarks;

/// <summary>Prints the machine of a benchmark's process on standard error: figures mean nothing without it.</summary>
internal static class Machine
{
    public static void Note()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        set_num_threads(1);
        string registers = VectorKernels.Supported is [{ } widest, ..] ? $"registers of {widest.Count} numbers" : "no fused multiply-add";
        string width = Avx512F.IsSupported ? "AVX-512" : Avx2.IsSupported ? "AVX2" : RuntimeInformation.ProcessArchitecture.ToString();
        Figure.Note(
            $"{Processor()}; .NET: {width}, {registers}; kernels: {Kernels.Set}; libtorch's products, one thread: "
            + $"float32 {Product(ScalarType.Float32):0} GFLOP/s, bfloat16 {Product(ScalarType.BFloat16):0} GFLOP/s");
    }

    private static string Processor() =>
        File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo")
                .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim()
                ?? RuntimeInformation.ProcessArchitecture.ToString()
            : RuntimeInformation.ProcessArchitecture.ToString();

    /// <summary>The best of many small products: one that no other program interrupted.</summary>
    private static double Product(ScalarType dtype)
    {
        const long Rows = 64, Inner = 512, Columns = 512;
        using var scope = NewDisposeScope();
        Tensor a = rand(Rows, Inner).to(dtype), b = rand(Inner, Columns).to(dtype), c = empty(Rows, Columns, dtype: dtype);
        double best = 0;
        for (int trial = 0; trial < 300; trial++)
        {
            long start = Stopwatch.GetTimestamp();
            c.addmm_(a, b, beta: 0, alpha: 1);
            best = Math.Max(best, 2.0 * Rows * Inner * Columns / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
        }
        return best;
    }
}
