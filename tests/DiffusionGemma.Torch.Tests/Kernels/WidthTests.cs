using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace DiffusionGemma;

public class WidthTests
{
    /// <summary>Vector widths that the other tests of this folder run at: every width that the processor has.</summary>
    [Fact]
    public void Kernels_are_there_for_every_width_of_the_processor_the_widest_first()
    {
        List<int> widths = [];
        if (Avx512F.IsSupported) widths.Add(16);
        if (Avx2.IsSupported && Fma.IsSupported) widths.Add(8);
        if (AdvSimd.Arm64.IsSupported || Fma.IsSupported) widths.Add(4);
        Assert.Equal(widths, VectorKernels.Supported.Select(k => k.Count));
    }
}
