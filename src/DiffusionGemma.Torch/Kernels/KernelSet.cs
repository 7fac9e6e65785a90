namespace DiffusionGemma;

/// <summary>The implementations that <see cref="Kernels"/> may use.</summary>
internal enum KernelSet
{
    /// <summary>This library's vector kernels where sizes and strides fit them, libtorch's operators elsewhere.</summary>
    Managed,

    /// <summary>libtorch's operators alone.</summary>
    LibTorch,
}
