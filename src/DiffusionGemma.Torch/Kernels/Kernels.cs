using System.Diagnostics.CodeAnalysis;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products, norms, gates, rotations and losses of the model, for tensors of any device and dtype. Float32 tensors on a CPU go through this
/// library's vector kernels where their sizes and strides fit and <see cref="ProductTable"/> finds them faster; everything else goes
/// through libtorch's operators. Callers need not know which. None of the methods records gradients: a backward is a method of its own.
/// </summary>
internal static partial class Kernels
{
    /// <summary>The environment variable that names a <see cref="KernelSet"/>; without it, <see cref="KernelSet.Managed"/>.</summary>
    public const string Variable = "DIFFUSIONGEMMA_KERNELS";

    /// <summary>The variable's value, read once: a process that changed its kernels on the way would not repeat its own losses.</summary>
    private static readonly string? Value = Environment.GetEnvironmentVariable(Variable);

    private static readonly KernelSet? ValidSet = TryParse(Value);

    /// <summary>The set of this process.</summary>
    /// <exception cref="InvalidOperationException">The variable names none.</exception>
    public static KernelSet Set => ValidSet ?? Parse(Value);

    /// <summary>The set that a value of <see cref="Variable"/> names.</summary>
    /// <exception cref="InvalidOperationException">It names none.</exception>
    public static KernelSet Parse(string? value) =>
        TryParse(value) ?? throw new InvalidOperationException(
            $"The environment variable {Variable} is '{value}'. Set it to {string.Join(" or ", Enum.GetNames<KernelSet>())}, or unset it.");

    private static KernelSet? TryParse(string? value) =>
        string.IsNullOrWhiteSpace(value) ? KernelSet.Managed
            : !int.TryParse(value, out _) && Enum.TryParse(value, ignoreCase: true, out KernelSet set) ? set : null;

    /// <summary>For the widest registers there are; null where <see cref="Set"/> or the processor rules them out.</summary>
    private static readonly ManagedKernels? Managed =
        ValidSet == KernelSet.Managed && VectorKernels.Supported is [{ } widest, ..] ? new ManagedKernels(widest) : null;

    /// <summary>True where this library's own kernels serve float32 on the CPU.</summary>
    public static bool HasManaged => Managed is not null;

    private static ProductTable Table => ProductTable.OfThisProcessor;

    /// <summary>
    /// True where a product of this bfloat16 matrix is computed in float32, with rows of the matrix widened a block at a time: where the
    /// processor has no units for bfloat16.
    /// </summary>
    private static bool IsWidened(Tensor matrix) =>
        Set == KernelSet.Managed && matrix.dtype == ScalarType.BFloat16 && matrix.device_type == DeviceType.CPU
        && !BFloat16Units.ServeLibTorch;

    /// <summary>True where managed kernels may read and write these tensors.</summary>
    /// <exception cref="InvalidOperationException">The tensors lie on different devices.</exception>
    [MemberNotNullWhen(true, nameof(Managed))]
    private static bool IsManaged(params ReadOnlySpan<Tensor?> tensors)
    {
        bool managed = Set == KernelSet.Managed && Managed is not null;
        DeviceType? common = null;
        foreach (Tensor? tensor in tensors)
        {
            if (tensor is null) continue;
            common = SameDevice.Next(common, tensor);
            managed = managed && common == DeviceType.CPU && tensor.dtype == ScalarType.Float32;
        }
        return managed && Managed is not null;
    }
}
