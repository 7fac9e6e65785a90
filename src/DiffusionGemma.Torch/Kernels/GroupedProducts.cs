using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Products of all experts with the rows that are theirs, as one operator of libtorch that takes the ends of the rows from the device: the
/// host waits for nothing. Quantised stacks are widened for the product, <see cref="WidenedElements"/> numbers at a time.
/// </summary>
internal static class GroupedProducts
{
    /// <summary>
    /// Major version of the GPUs that libtorch's kernel is built for: on earlier ones the operator itself reads the ends on the host, on
    /// later ones the kernel of libtorch 2.10 fails to start.
    /// </summary>
    private const int ComputeCapability = 9;

    /// <summary>Bytes that the rows of every operand are a multiple of.</summary>
    private const long Alignment = 16;

    /// <summary>Numbers of quantised experts that are widened together.</summary>
    private const long WidenedElements = 1 << 25;

    /// <summary>Bytes of the numbers that are widened together: as int32, as float32, and in the dtype of the product.</summary>
    public const long WideningBytes = WidenedElements * (4 + 4 + 2);

    /// <summary>
    /// Returns true where the products of a model's experts run in this form: bfloat16 on a GPU of compute capability 9 (H100, H200), or
    /// on meta; sizes that are multiples of 8.
    /// </summary>
    /// <param name="device">The model's device.</param>
    /// <param name="dtype">The dtype that it computes in.</param>
    /// <param name="hiddenSize">H.</param>
    /// <param name="expertSize">F.</param>
    public static bool Serve(Device device, ScalarType dtype, long hiddenSize, long expertSize) =>
        dtype == ScalarType.BFloat16 && Fits(dtype, hiddenSize) && Fits(dtype, expertSize) && device.type switch
        {
            DeviceType.META => true,
            DeviceType.CUDA => CudaRuntime.MajorCapability(device.index) == ComputeCapability,
            _ => false,
        };

    /// <summary>Returns a rank, or the next larger one whose rows the operator takes.</summary>
    public static long PaddedRank(long rank, ScalarType dtype)
    {
        long multiple = Alignment / dtype.Bytes();
        return (rank + multiple - 1) / multiple * multiple;
    }

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E,out,in].</param>
    /// <param name="ends">[E] int32.</param>
    /// <returns>[N,out].</returns>
    public static Tensor Linear(Tensor x, StoredWeight weights, Tensor ends)
    {
        using var scope = NewDisposeScope();
        return Product(x, Widened(weights, x.dtype).transpose(1, 2), ends).MoveToOuterDisposeScope();
    }

    /// <summary>y = a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K].</param>
    /// <param name="b">B [E,K,M].</param>
    /// <param name="ends">[E] int32.</param>
    /// <returns>[N,M].</returns>
    public static Tensor MatMul(Tensor a, StoredWeight b, Tensor ends)
    {
        using var scope = NewDisposeScope();
        return Product(a, Widened(b, a.dtype), ends).MoveToOuterDisposeScope();
    }

    /// <summary>y += a B_e for each expert's rows of a; in bfloat16 the product is rounded before it is added.</summary>
    public static void AddMatMul(Tensor y, Tensor a, Tensor b, Tensor ends)
    {
        using Tensor product = MatMul(a, b, ends);
        y.add_(product);
    }

    /// <summary>buffers[e] += dyᵀ x over each expert's rows; in bfloat16 the product is rounded before it is added.</summary>
    /// <param name="buffers">[E,out,in], in the dtype of <paramref name="dy"/> or a wider one.</param>
    /// <param name="dy">[N,out].</param>
    /// <param name="x">[N,in].</param>
    /// <param name="ends">[E] int32.</param>
    public static void AddOuter(Tensor buffers, Tensor dy, Tensor x, Tensor ends)
    {
        if (x.shape[0] == 0) return;
        using Tensor rows = dy.contiguous(), across = rows.t(), inputs = x.contiguous(),
            product = TorchOperators.GroupedMatMul(across, inputs, ends);
        buffers.add_(product);
    }

    private static bool Fits(ScalarType dtype, long size) => size * dtype.Bytes() % Alignment == 0;

    private static Tensor Product(Tensor rows, Tensor matrices, Tensor ends) => rows.shape[0] == 0
        ? zeros(0, matrices.shape[2], dtype: rows.dtype, device: rows.device)
        : TorchOperators.GroupedMatMul(rows.contiguous(), matrices, ends);

    /// <summary>A stack [E,out,in] in a dtype: itself where it has that, else a copy.</summary>
    private static Tensor Widened(StoredWeight weights, ScalarType dtype)
    {
        if (weights.Tensor is { } tensor) return tensor.to(dtype);
        Tensor all = empty(weights.Shape, dtype: dtype, device: weights.Device);
        int together = (int)Math.Max(1, WidenedElements / (weights.Shape[1] * weights.Shape[2]));
        for (int first = 0; first < weights.Slices.Count; first += together)
        {
            QuantizedMatrix[][] some = [.. weights.Slices.Skip(first).Take(together)];
            long row = 0;
            for (int part = 0; part < some[0].Length; part++)
            {
                using var scope = NewDisposeScope();
                QuantizedMatrix[] matrices = [.. some.Select(slice => slice[part])];
                long rows = matrices[0].Rows;
                if (QuantizedMatrix.TryJoin(matrices) is { } joined)
                    all.narrow(0, first, some.Length).narrow(1, row, rows)
                        .copy_(DeviceProducts.Widen(joined, dtype).view(some.Length, rows, -1));
                else
                    for (int e = 0; e < matrices.Length; e++)
                        all.select(0, first + e).narrow(0, row, rows).copy_(DeviceProducts.Widen(matrices[e], dtype));
                row += rows;
            }
        }
        return all;
    }
}
