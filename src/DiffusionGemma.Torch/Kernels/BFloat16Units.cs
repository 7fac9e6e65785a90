using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>Units of a processor for products of bfloat16 numbers: AVX512_BF16, AMX.</summary>
internal static class BFloat16Units
{
    private const string OneDnnLimit = "ONEDNN_MAX_CPU_ISA";

    /// <summary>Values of oneDNN's limit that leave such units out.</summary>
    private static readonly string[] LimitsWithout = ["SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"];

    /// <summary>
    /// True where libtorch's bfloat16 products use such units. Without them libtorch widens numbers one by one, at a tenth of a float32
    /// product's speed or less. Processors other than x86 were not measured: theirs count as having them.
    /// </summary>
    public static bool ServeLibTorch { get; } =
        !X86Base.IsSupported
        || Avx512F.IsSupported && IsThere()
            && !LimitsWithout.Contains(Environment.GetEnvironmentVariable(OneDnnLimit), StringComparer.OrdinalIgnoreCase);

    /// <summary>CPUID leaf 7: AVX512_BF16 is bit 5 of EAX in subleaf 1, AMX_BF16 bit 22 of EDX in subleaf 0.</summary>
    private static bool IsThere() =>
        X86Base.CpuId(0, 0).Eax >= 7
        && ((X86Base.CpuId(7, 1).Eax & 1 << 5) != 0 || (X86Base.CpuId(7, 0).Edx & 1 << 22) != 0);
}
