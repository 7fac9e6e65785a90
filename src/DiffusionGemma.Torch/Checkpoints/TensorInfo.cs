using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The dtype, shape and location of one tensor of a safetensors file, stored row-major, little-endian, without gaps.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">The dtype that it is read in: that it is stored in, or of a <see cref="Format"/> that libtorch lacks, bytes.</param>
/// <param name="Shape">Its dimensions; none for a scalar.</param>
/// <param name="File">The path of the file that holds it.</param>
/// <param name="Offset">Its first byte, counted from the beginning of the file.</param>
/// <param name="Length">Its size in bytes.</param>
public sealed record TensorInfo(string Name, ScalarType DType, IReadOnlyList<long> Shape, string File, long Offset, long Length)
{
    /// <summary>The file's own name of the dtype: BF16, I8, F8_E4M3.</summary>
    public string Format { get; internal init; } = SafetensorsDTypes.Name(DType) ?? "";

    /// <summary>The number of elements.</summary>
    public long NumberOfElements => Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Name, dtype and shape, as messages print them.</summary>
    public override string ToString() =>
        $"{Name} {(Format == SafetensorsDTypes.Name(DType) ? DType : Format)} [{string.Join(", ", Shape)}]";
}
