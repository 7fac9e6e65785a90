namespace DiffusionGemma;

/// <summary>Kernels on bare memory for registers of one width; <see cref="LanesKernels{L}"/> specialises them.</summary>
internal abstract unsafe class VectorKernels
{
    /// <summary>Kernels of every width that this processor has, the widest first. Empty where it has no fused multiply-add.</summary>
    public static IReadOnlyList<VectorKernels> Supported { get; } =
        [.. new VectorKernels?[] { Of<Lanes512>(), Of<Lanes256>(), Of<Lanes128>() }.OfType<VectorKernels>()];

    /// <summary>Numbers of a register: the last dimensions of all operands are multiples of it.</summary>
    public abstract int Count { get; }

    /// <summary>The number that the outputs of <see cref="Linear"/> are a multiple of.</summary>
    public abstract int Outputs { get; }

    /// <summary>The number that the columns of <see cref="AddProduct"/> are a multiple of.</summary>
    public abstract int Columns { get; }

    /// <summary>Rows of <see cref="AddProduct"/> that are worked on together.</summary>
    public abstract long RowBlock { get; }

    /// <inheritdoc cref="DotProducts{L}.Run"/>
    public abstract void Linear(float* x, long rows, float* w, long outputs, long inputs, float* y, long stride);

    /// <inheritdoc cref="TileProducts{L}.Run"/>
    public abstract void AddProduct(
        float* a, long rowStride, long innerStride, long rows, long inner, float* b, long bStride, long columns, float* y, long stride);

    /// <inheritdoc cref="RmsNormRows{L}.Forward"/>
    public abstract void RmsNorm(float* x, float* w, float* y, long width, double epsilon);

    /// <inheritdoc cref="RmsNormRows{L}.Backward"/>
    public abstract void RmsNormBackward(float* x, float* g, float* w, float* dx, float* dw, long width, double epsilon);

    /// <inheritdoc cref="GatedGeluRows{L}.Forward"/>
    public abstract void GatedGelu(float* gate, float* up, float* y, float weight, long width);

    /// <inheritdoc cref="GatedGeluRows{L}.Backward"/>
    public abstract float GatedGeluBackward(float* dy, float* gate, float* up, float weight, float* dGate, float* dUp, long width);

    /// <inheritdoc cref="RotationRows{L}.Rotate"/>
    public abstract void Rotate(float* x, float* cos, float* sin, float* y, long half, bool transposed);

    /// <inheritdoc cref="CrossEntropyRows{L}.Loss"/>
    public abstract double CappedCrossEntropy(float* z, float* weights, long columns, long target, double cap, bool withGradient);

    /// <inheritdoc cref="CappedSoftmaxRows{L}.Weights(float*, long, float, out int)"/>
    public abstract (double Total, double Entropy) CappedSoftmax(float* x, long columns, float scale, out int largest);

    private static VectorKernels? Of<L>()
        where L : struct, ILanes<L> => L.IsSupported ? new LanesKernels<L>() : null;
}
