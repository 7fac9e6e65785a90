using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// A tensor to be written to a file: the header's data, and a function that writes the bytes after the header.
/// </summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">The dtype that it is stored in.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="WriteTo">Writes exactly shape times dtype bytes.</param>
internal sealed record TensorSource(string Name, ScalarType DType, IReadOnlyList<long> Shape, Action<Stream> WriteTo)
{
    /// <summary>
    /// Elements converted and written at a time: small beside a tensor, large enough to cost no time.
    /// </summary>
    private const long PieceElements = 1 << 24;

    private const int PieceBytes = 1 << 26;

    /// <summary>The format's name of the dtype; null: the format has none.</summary>
    public string? Format { get; init; } = SafetensorsDTypes.Name(DType);

    public long Length => Shape.Aggregate((long)SafetensorsDTypes.Size(DType), (product, size) => product * size);

    /// <summary>Creates the source of a tensor of any strides and device, stored as <paramref name="dtype"/> (its own if null).</summary>
    public static TensorSource FromTensor(string name, Tensor tensor, ScalarType? dtype = null)
    {
        ScalarType stored = dtype ?? tensor.dtype;
        return new TensorSource(name, stored, tensor.shape, stream =>
        {
            using var grad = no_grad();
            WritePieces(tensor, stored, stream);
        });
    }

    /// <summary>Creates the source of an exact copy of a tensor of an open file.</summary>
    public static unsafe TensorSource FromFile(SafetensorsFile source, string name)
    {
        TensorInfo info = source.Info(name);
        return new TensorSource(name, info.DType, info.Shape, stream =>
        {
            if (info.Length > 0) WriteBytes(source.Bytes(name), info.Length, stream);
        })
        {
            Format = info.Format,
        };
    }

    /// <summary>
    /// Splits along the first dimension until a piece is small, so that no tensor is converted or made contiguous whole.
    /// </summary>
    private static unsafe void WritePieces(Tensor tensor, ScalarType dtype, Stream stream)
    {
        long count = tensor.numel();
        if (count == 0) return;
        if (tensor.dtype == dtype && tensor.device_type == DeviceType.CPU && tensor.is_contiguous())
        {
            WriteBytes((byte*)NativeTensors.Data(tensor), count * SafetensorsDTypes.Size(dtype), stream);
            GC.KeepAlive(tensor);
        }
        else if (count <= PieceElements || tensor.dim() == 0)
        {
            using Tensor converted = tensor.to(dtype, CPU);
            using Tensor piece = converted.contiguous();
            WriteBytes((byte*)NativeTensors.Data(piece), count * SafetensorsDTypes.Size(dtype), stream);
            GC.KeepAlive(piece);
        }
        else
        {
            long rows = Math.Max(1, PieceElements / (count / tensor.shape[0]));
            for (long row = 0; row < tensor.shape[0]; row += rows)
            {
                using Tensor slice = rows == 1 ? tensor.select(0, row) : tensor.narrow(0, row, Math.Min(rows, tensor.shape[0] - row));
                WritePieces(slice, dtype, stream);
            }
        }
    }

    private static unsafe void WriteBytes(byte* bytes, long length, Stream stream)
    {
        for (long at = 0; at < length; at += PieceBytes)
            stream.Write(new ReadOnlySpan<byte>(bytes + at, (int)Math.Min(PieceBytes, length - at)));
    }
}
