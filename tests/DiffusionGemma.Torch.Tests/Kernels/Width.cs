namespace DiffusionGemma;

/// <summary>Kernels of one register width; a test of a width that the processor lacks is skipped.</summary>
internal static class Width
{
    /// <summary>Numbers of a register, for every width that has a source.</summary>
    public static TheoryData<int> All => [4, 8, 16];

    public static VectorKernels Of(int count)
    {
        VectorKernels? kernels = VectorKernels.Supported.SingleOrDefault(k => k.Count == count);
        Assert.SkipWhen(kernels is null, $"This processor has no registers of {count} numbers with fused multiply-add.");
        return kernels!;
    }

    public static ManagedKernels Kernels(int count) => new(Of(count));
}
