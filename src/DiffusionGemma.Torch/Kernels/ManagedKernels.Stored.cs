using System.Buffers;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Products with quantised weights: a block of a weight is widened into a scratch that stays in a core's own cache, and used there.</summary>
internal sealed unsafe partial class ManagedKernels
{
    /// <summary>Numbers of the scratch: 256 KiB, half of a small second-level cache.</summary>
    private const long ScratchElements = 1 << 16;

    /// <summary>Columns that are widened at once for a product with the weight as it is: rows enough for long sums then fit too.</summary>
    private const long ScratchColumns = 512;

    /// <summary>y = x W_eᵀ for each expert's rows of x.</summary>
    /// <param name="x">[N,in], the rows of one expert after those of the one before it.</param>
    /// <param name="slices">[E]: each expert's weight, the rows of its parts in order.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,out]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryStoredLinear(Tensor x, IReadOnlyList<QuantizedMatrix[]> slices, long[] counts, Tensor y)
    {
        long inputs = slices[0][0].Columns, outputs = y.shape[1];
        if (!AreContiguous(x, y) || inputs % vectors.Count != 0) return false;
        foreach (QuantizedMatrix[] slice in slices)
            foreach (QuantizedMatrix part in slice)
                if (part.Rows % vectors.Outputs != 0) return false;
        long most = Math.Max(1, ScratchElements / inputs / vectors.Outputs) * vectors.Outputs;
        float* from = Data(x), to = Data(y);
        long[] starts = Starts(counts);
        Block[] blocks = [.. BlocksOf(slices, counts, most).SelectMany(ofExpert => ofExpert)];
        KernelThreads.For(blocks.Length, 2 * starts[^1] * outputs * inputs, (first, end) =>
        {
            using var scratch = new Scratch(most * inputs);
            for (long n = first; n < end; n++)
            {
                ref readonly Block block = ref blocks[n];
                WideningRows.Run(block.Matrix, block.First, block.Count, 0, inputs, scratch.Data);
                vectors.Linear(
                    from + starts[block.Expert] * inputs, counts[block.Expert], new Weights(scratch.Data), block.Count, inputs,
                    to + starts[block.Expert] * outputs + block.Output, outputs);
            }
        });
        KeepAlive(x, y);
        GC.KeepAlive(slices);
        return true;
    }

    /// <summary>y = a W_e for each expert's rows of a.</summary>
    /// <param name="a">[N,out], the rows of one expert after those of the one before it.</param>
    /// <param name="slices">[E]: each expert's weight, the rows of its parts in order.</param>
    /// <param name="counts">[E]: how many rows are each expert's, N in all.</param>
    /// <param name="y">[N,in]; written.</param>
    /// <returns>False where nothing was done.</returns>
    public bool TryStoredMatMul(Tensor a, IReadOnlyList<QuantizedMatrix[]> slices, long[] counts, Tensor y)
    {
        long inputs = slices[0][0].Columns, outputs = a.shape[1];
        if (!AreContiguous(a, y) || inputs % vectors.Columns != 0) return false;
        long size = slices.Max(slice => slice.Max(part => part.GroupSize)), width = Math.Min(inputs, ScratchColumns);
        if (size < inputs) width = Math.Max(1, width / size) * size;
        foreach (QuantizedMatrix[] slice in slices)
            foreach (QuantizedMatrix part in slice)
                if (part.GroupSize < inputs && width % part.GroupSize != 0) return false;
        if (width % vectors.Columns != 0) return false;
        long most = Math.Max(1, ScratchElements / width);
        float* from = Data(a), to = Data(y);
        NativeMemory.Clear(to, (nuint)(y.numel() * sizeof(float)));
        long[] starts = Starts(counts);
        Block[][] ofExperts = BlocksOf(slices, counts, most);
        long panels = (inputs + width - 1) / width;
        KernelThreads.For(counts.Length * panels, 2 * starts[^1] * outputs * inputs, (first, end) =>
        {
            using var scratch = new Scratch(most * width);
            for (long n = first; n < end; n++)
            {
                long expert = n / panels, column = n % panels * width, columns = Math.Min(width, inputs - column);
                foreach (Block block in ofExperts[expert])
                {
                    WideningRows.Run(block.Matrix, block.First, block.Count, column, columns, scratch.Data);
                    vectors.AddProduct(
                        from + starts[expert] * outputs + block.Output, outputs, 1, counts[expert], block.Count,
                        new Weights(scratch.Data), columns, columns, to + starts[expert] * inputs + column, inputs);
                }
            }
        }, partsPerThread: counts.Length > 1 ? 4 : 1);
        KeepAlive(a, y);
        GC.KeepAlive(slices);
        return true;
    }
    /// <summary>Splits the rows of each expert's weight into blocks, of experts that have rows of x.</summary>
    private static Block[][] BlocksOf(IReadOnlyList<QuantizedMatrix[]> slices, long[] counts, long most)
    {
        var ofExperts = new Block[counts.Length][];
        for (int e = 0; e < counts.Length; e++)
        {
            var blocks = new List<Block>();
            long output = 0;
            foreach (QuantizedMatrix part in counts[e] == 0 ? [] : slices[e])
            {
                QuantizedRows rows = part.View();
                for (long row = 0; row < part.Rows; row += most) blocks.Add(new(e, rows, row, Math.Min(most, part.Rows - row), output + row));
                output += part.Rows;
            }
            ofExperts[e] = [.. blocks];
        }
        return ofExperts;
    }

    /// <summary>Some rows of a stored matrix.</summary>
    /// <param name="Expert">Whose.</param>
    /// <param name="Matrix">The matrix.</param>
    /// <param name="First">The first row.</param>
    /// <param name="Count">The number of rows.</param>
    /// <param name="Output">The place of the first among the expert's outputs.</param>
    private readonly record struct Block(int Expert, QuantizedRows Matrix, long First, long Count, long Output);

    /// <summary>Room that a thread widens into: of the array pool, so that its pages are touched once.</summary>
    private readonly struct Scratch : IDisposable
    {
        private const int Alignment = 64;
        private readonly float[] _room;
        private readonly GCHandle _pin;

        public Scratch(long elements)
        {
            _room = ArrayPool<float>.Shared.Rent((int)elements + Alignment / sizeof(float));
            _pin = GCHandle.Alloc(_room, GCHandleType.Pinned);
            Data = (float*)((_pin.AddrOfPinnedObject() + Alignment - 1) / Alignment * Alignment);
        }

        public float* Data { get; }

        public void Dispose()
        {
            _pin.Free();
            ArrayPool<float>.Shared.Return(_room);
        }
    }
}
