using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

/// <summary>
/// The numbers of rows up to which this library's kernels are the faster form of float32 products, and beyond which libtorch's operators
/// are: what <c>-- operators</c> of the benchmarks prints (docs/performance.md).
/// <para>
/// libtorch's products are Intel's MKL. On Intel's own processors they are faster where many rows share a weight. This library's kernels
/// are faster where few do, because MKL first copies the weight into an order of its own. On processors of other makers MKL is slower, and
/// this library's kernels are faster at every measured size. Where the bits of libtorch's form would depend on the number of threads (<see
/// cref="MklThreads.IsFound"/>), it is not taken.
/// </para>
/// </summary>
/// <param name="Linear">Rows N of y = x Wᵀ, x [N,in].</param>
/// <param name="GroupedLinear">The same of one expert, on average.</param>
/// <param name="MatMul">Rows N of y = a b, a [N,K].</param>
/// <param name="GroupedMatMul">The same of one expert, on average.</param>
/// <param name="AddOuter">Rows N of y += dyᵀ x, dy [N,out].</param>
internal sealed record ProductTable(long Linear, long GroupedLinear, long MatMul, long GroupedMatMul, long AddOuter)
{
    private const long Never = 0, Always = long.MaxValue;

    /// <summary>The table of this processor and its widest registers.</summary>
    public static ProductTable OfThisProcessor { get; } = (IsIntel() && MklThreads.IsFound, Avx512F.IsSupported) switch
    {
        (true, true) => new(Linear: 128, GroupedLinear: Always, MatMul: Never, GroupedMatMul: 16, AddOuter: 64),
        (true, false) => new(Linear: 128, GroupedLinear: Always, MatMul: Never, GroupedMatMul: Never, AddOuter: Never),
        _ => new(Linear: Always, GroupedLinear: Always, MatMul: Always, GroupedMatMul: Always, AddOuter: Always),
    };

    /// <summary>CPUID leaf 0: the maker's name, "Genu" "ineI" "ntel".</summary>
    private static bool IsIntel() =>
        X86Base.IsSupported && X86Base.CpuId(0, 0) is { Ebx: 0x756E6547, Edx: 0x49656E69, Ecx: 0x6C65746E };
}
