using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

internal sealed unsafe partial class ManagedKernels
{
    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="weights">[E,out,in], or [out,in] of one.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,out]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryLinear(Tensor x, Tensor weights, long[] counts, Tensor y)
    {
        long outputs = weights.shape[^2], inputs = weights.shape[^1];
        if (!AreContiguous(x, weights, y) || inputs % vectors.Count != 0 || outputs % vectors.Outputs != 0) return false;
        float* from = Data(x), to = Data(y), w = Data(weights);
        long[] starts = Starts(counts);
        long operations = 2 * starts[^1] * outputs * inputs, eights = outputs / vectors.Outputs;
        if (counts.Length == 1)
            KernelThreads.For(eights, operations, (first, end) =>
            {
                long o = vectors.Outputs * first;
                vectors.Linear(from, counts[0], w + o * inputs, vectors.Outputs * (end - first), inputs, to + o, outputs);
            });
        else
            KernelThreads.For(counts.Length, operations, (first, end) =>
            {
                for (long e = first; e < end; e++)
                    vectors.Linear(from + starts[e] * inputs, counts[e], w + e * outputs * inputs, outputs, inputs,
                        to + starts[e] * outputs, outputs);
            });
        KeepAlive(x, weights, y);
        return true;
    }

    /// <summary>y = a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">[E,K,M], or [K,M] of one.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,M]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryMatMul(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        if (!FitsProduct(a, b, y)) return false;
        NativeMemory.Clear(Data(y), (nuint)(y.numel() * sizeof(float)));
        AddMatMul(a, b, counts, y);
        return true;
    }

    /// <summary>y += a B_e for each expert's rows of a.</summary>
    /// <param name="a">[N,K], the rows of one expert after those of the one before it.</param>
    /// <param name="b">[E,K,M], or [K,M] of one.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,M]; added to.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryAddMatMul(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        if (!FitsProduct(a, b, y)) return false;
        AddMatMul(a, b, counts, y);
        return true;
    }

    /// <summary>y += aᵀ b: the gradient of W in y = x Wᵀ, where a is the result's gradient and b is x.</summary>
    /// <param name="a">[N,M].</param>
    /// <param name="b">[N,K].</param>
    /// <param name="y">[M,K]; added to.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryAddOuter(Tensor a, Tensor b, Tensor y)
    {
        if (!FitsProduct(a, b, y)) return false;
        long rows = a.shape[1], inner = a.shape[0], columns = b.shape[1], block = vectors.RowBlock;
        float* left = Data(a), right = Data(b), to = Data(y);
        KernelThreads.For((rows + block - 1) / block, 2 * rows * inner * columns, (first, end) =>
        {
            long row = block * first, live = Math.Min(rows, block * end) - row;
            vectors.AddProduct(left + row, 1, rows, live, inner, right, columns, columns, to + row * columns, columns);
        });
        KeepAlive(a, b, y);
        return true;
    }

    private void AddMatMul(Tensor a, Tensor b, long[] counts, Tensor y)
    {
        long inner = b.shape[^2], columns = b.shape[^1];
        float* left = Data(a), right = Data(b), to = Data(y);
        long[] starts = Starts(counts);
        if (counts.Length == 1) AddMatMul(left, inner, counts[0], inner, right, columns, to);
        else
            KernelThreads.For(counts.Length, 2 * starts[^1] * inner * columns, (first, end) =>
            {
                for (long e = first; e < end; e++)
                    vectors.AddProduct(
                        left + starts[e] * inner, inner, 1, counts[e], inner, right + e * inner * columns, columns, columns,
                        to + starts[e] * columns, columns);
            });
        KeepAlive(a, b, y);
    }

    /// <summary>y += a b, in parts of a's rows where there are enough of them for all threads, else of b's columns.</summary>
    /// <param name="a">[rows,inner].</param>
    /// <param name="aStride">Between a's rows.</param>
    /// <param name="rows">Any number.</param>
    /// <param name="inner">Any number.</param>
    /// <param name="b">[inner,columns].</param>
    /// <param name="columns">A multiple of <see cref="VectorKernels.Columns"/>.</param>
    /// <param name="y">[rows,columns]; added to.</param>
    private void AddMatMul(float* a, long aStride, long rows, long inner, float* b, long columns, float* y)
    {
        long block = vectors.RowBlock, panel = vectors.Columns, operations = 2 * rows * inner * columns;
        if (rows >= KernelThreads.Count * block)
            KernelThreads.For((rows + block - 1) / block, operations, (first, end) =>
            {
                long row = block * first, live = Math.Min(rows, block * end) - row;
                vectors.AddProduct(a + row * aStride, aStride, 1, live, inner, b, columns, columns, y + row * columns, columns);
            });
        else
            KernelThreads.For(columns / panel, operations, (first, end) =>
            {
                long column = panel * first;
                vectors.AddProduct(a, aStride, 1, rows, inner, b + column, columns, panel * (end - first), y + column, columns);
            }, partsPerThread: 1);
    }

    private bool FitsProduct(Tensor a, Tensor b, Tensor y) => AreContiguous(a, b, y) && b.shape[^1] % vectors.Columns == 0;

    /// <summary>Index at which each run of rows begins, and at which the last ends.</summary>
    private static long[] Starts(long[] counts)
    {
        long[] starts = new long[counts.Length + 1];
        for (int e = 0; e < counts.Length; e++) starts[e + 1] = starts[e] + counts[e];
        return starts;
    }
}
