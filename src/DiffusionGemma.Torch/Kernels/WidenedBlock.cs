using System.Runtime.InteropServices;

namespace DiffusionGemma;

/// <summary>Memory for a block of a stored matrix's rows in float32, which stays in a cache while a product uses it.</summary>
/// <param name="rows">Rows of the matrix: one of few needs no whole block.</param>
/// <param name="columns">Numbers of a row.</param>
internal sealed unsafe class WidenedBlock(long rows, long columns) : IDisposable
{
    /// <summary>Numbers of a block: a megabyte.</summary>
    private const long Most = 1 << 18;

    /// <summary>The number that a block's rows are a multiple of; kernels take the rows of a weight in groups of eight.</summary>
    private const long Group = 8;

    /// <summary>[<see cref="RowsOf"/>, columns], or all rows of a smaller matrix.</summary>
    public float* Numbers { get; private set; } =
        (float*)NativeMemory.AlignedAlloc((nuint)(Math.Min(rows, RowsOf(columns)) * columns * sizeof(float)), alignment: 64);

    /// <summary>Rows of a block.</summary>
    /// <param name="columns">Numbers of a row.</param>
    public static long RowsOf(long columns) => Math.Max(1, Most / (Group * columns)) * Group;

    /// <summary>Blocks of a matrix.</summary>
    /// <param name="rows">The matrix's.</param>
    /// <param name="columns">Numbers of a row.</param>
    public static long CountOf(long rows, long columns) => (rows + RowsOf(columns) - 1) / RowsOf(columns);

    /// <summary>Widens rows [first, first + count) side by side on several threads.</summary>
    public void Fill(IStoredRows stored, long first, long count)
    {
        float* to = Numbers;
        long columns = stored.Columns;
        KernelThreads.For(
            count, WideningOperations * count * columns, (from, end) => stored.Widen(first + from, end - from, to + from * columns));
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Numbers);
        Numbers = null;
    }

    /// <summary>Operations a number, about; memory counts too.</summary>
    private const long WideningOperations = 10;
}
