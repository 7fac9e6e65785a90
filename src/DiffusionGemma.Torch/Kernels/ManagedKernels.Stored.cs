using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

internal sealed unsafe partial class ManagedKernels
{
    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">W [E·out,in].</param>
    /// <param name="outputs">out.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,out]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryLinear(Tensor x, IStoredRows weights, long outputs, long[] counts, Tensor y)
    {
        long inputs = weights.Columns, size = WidenedBlock.RowsOf(inputs), blocks = WidenedBlock.CountOf(outputs, inputs);
        if (!AreContiguous(x, y) || inputs % vectors.Count != 0 || outputs % vectors.Outputs != 0) return false;
        float* from = Data(x), to = Data(y);
        long[] starts = Starts(counts);
        KernelThreads.For(counts.Length * blocks, 2 * starts[^1] * outputs * inputs, (first, end) =>
        {
            using var block = new WidenedBlock(outputs, inputs);
            for (long n = first; n < end; n++)
            {
                (long e, long o) = (n / blocks, n % blocks * size);
                if (counts[e] == 0) continue;
                long live = Math.Min(size, outputs - o);
                weights.Widen(e * outputs + o, live, block.Numbers);
                vectors.Linear(from + starts[e] * inputs, counts[e], block.Numbers, live, inputs, to + starts[e] * outputs + o, outputs);
            }
        });
        KeepAlive(x, y);
        return true;
    }

    /// <summary>y = a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">B [E·K,M].</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,M]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryMatMul(Tensor a, IStoredRows b, long[] counts, Tensor y)
    {
        long inner = a.shape[1], columns = b.Columns, size = WidenedBlock.RowsOf(columns);
        if (!AreContiguous(a, y) || columns % vectors.Columns != 0) return false;
        NativeMemory.Clear(Data(y), (nuint)(y.numel() * sizeof(float)));
        float* left = Data(a), to = Data(y);
        long[] starts = Starts(counts);
        if (counts.Length == 1)
        {
            using var block = new WidenedBlock(inner, columns);
            for (long k = 0; k < inner; k += size)
            {
                long live = Math.Min(size, inner - k);
                block.Fill(b, k, live);
                AddMatMul(left + k, inner, counts[0], live, block.Numbers, columns, to);
            }
        }
        else
            KernelThreads.For(counts.Length, 2 * starts[^1] * inner * columns, (first, end) =>
            {
                using var block = new WidenedBlock(inner, columns);
                for (long e = first; e < end; e++)
                    for (long k = 0; counts[e] > 0 && k < inner; k += size)
                    {
                        long live = Math.Min(size, inner - k);
                        b.Widen(e * inner + k, live, block.Numbers);
                        vectors.AddProduct(
                            left + starts[e] * inner + k, inner, 1, counts[e], live, block.Numbers, columns, columns,
                            to + starts[e] * columns, columns);
                    }
            });
        KeepAlive(a, y);
        return true;
    }
}
