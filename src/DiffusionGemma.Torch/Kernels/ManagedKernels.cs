using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// <see cref="VectorKernels"/> for tensors, spread over threads. Tensors are float32 on the CPU; where strides or sizes do
/// not fit, a method does nothing and says so. A row's result depends neither on the rows beside it nor on the number of threads.
/// </summary>
/// <param name="vectors">The kernels of one width.</param>
internal sealed unsafe partial class ManagedKernels(VectorKernels vectors)
{
    private static float* Data(Tensor? tensor) => tensor is null ? null : (float*)NativeTensors.Data(tensor);

    /// <summary>True where these tensors lie in memory without gaps.</summary>
    private static bool AreContiguous(params ReadOnlySpan<Tensor?> tensors)
    {
        foreach (Tensor? tensor in tensors)
            if (tensor is not null && !tensor.is_contiguous()) return false;
        return true;
    }

    /// <summary>True where each is a matrix [N,F] whose rows, which may lie apart, are whole registers.</summary>
    private bool AreRows(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (Tensor tensor in tensors)
            if (tensor.dim() != 2 || tensor.stride(1) != 1 || tensor.shape[1] % vectors.Count != 0) return false;
        return true;
    }

    /// <summary>Keeps tensors alive up to here, while kernels use their memory.</summary>
    private static void KeepAlive(params ReadOnlySpan<Tensor?> tensors)
    {
        foreach (Tensor? tensor in tensors) GC.KeepAlive(tensor);
    }
}
