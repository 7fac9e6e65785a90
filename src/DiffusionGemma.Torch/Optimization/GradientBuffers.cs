using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Adds gradients of weight matrices up in place.</summary>
internal static class GradientBuffers
{
    /// <summary>Numbers of a product that is rounded to a narrower dtype before it is added: small enough to stay in a cache.</summary>
    private const long BlockElements = 1 << 20;

    /// <summary>So few columns of a product (those of a low rank) are better taken as its rows.</summary>
    private const long NarrowColumns = 64;

    /// <summary>buffer += dyᵀ x, the gradient of W in y = W x, with no copy of the buffer's size.</summary>
    /// <param name="buffer">[out,in], in the dtype of <paramref name="dy"/> or a wider one.</param>
    /// <param name="dy">[N,out].</param>
    /// <param name="x">[N,in].</param>
    public static void AddProduct(Tensor buffer, Tensor dy, Tensor x)
    {
        if (Avx512Products.TryAddOuter(dy, x, buffer)) return;
        if (x.shape[1] <= NarrowColumns && Avx512Products.IsPlain(x))
        {
            using Tensor narrow = zeros(x.shape[1], dy.shape[1], dtype: buffer.dtype, device: buffer.device), across = narrow.t();
            if (Avx512Products.TryAddOuter(x, dy, narrow))
            {
                buffer.add_(across);
                return;
            }
        }
        using Tensor transposed = dy.t();
        if (buffer.dtype == dy.dtype)
        {
            buffer.addmm_(transposed, x, beta: 1, alpha: 1);
            return;
        }
        long rows = Math.Max(1, BlockElements / buffer.shape[1]);
        for (long start = 0; start < buffer.shape[0]; start += rows)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(rows, buffer.shape[0] - start);
            buffer.narrow(0, start, count).add_(transposed.narrow(0, start, count).mm(x));
        }
    }
}
