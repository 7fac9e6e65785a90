using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Lanes = System.Runtime.Intrinsics.Vector512<float>;

namespace DiffusionGemma;

/// <summary>y += a b on bare memory, with a as it lies or transposed: a tile of y stays in registers while rows of b pass by.</summary>
internal static unsafe class Avx512Plain
{
    /// <summary>What the number of b's columns must be a multiple of.</summary>
    public const long Columns = 32;

    /// <summary>Rows of y that are worked on while b passes by.</summary>
    public const long RowBlock = 64;

    /// <summary>Rows of b that are used at a time.</summary>
    private const long InnerBlock = 256;

    /// <summary>Rows of a tile.</summary>
    public const int TileRows = 8;

    /// <summary>
    /// y += a b. Eight rows of a are laid side by side, so that what one row of b is multiplied with lies together; sums of a block are added to the
    /// result as a whole, which rounds less than one long sum. A row's result does not depend on how many others there are.
    /// </summary>
    /// <param name="a">[rows,inner].</param>
    /// <param name="rows">Any number.</param>
    /// <param name="inner">Any number.</param>
    /// <param name="b">[inner,columns].</param>
    /// <param name="columns">A multiple of <see cref="Columns"/>.</param>
    /// <param name="y">[rows,columns]; added to.</param>
    /// <param name="stride">Between b's rows, and y's.</param>
    [SkipLocalsInit]
    public static void Add(float* a, long rows, long inner, float* b, long columns, float* y, long stride)
    {
        float* packed = stackalloc float[(int)(RowBlock * InnerBlock)];
        for (long first = 0; first < rows; first += RowBlock)
        {
            long end = Math.Min(first + RowBlock, rows), tiles = (end - first + TileRows - 1) / TileRows;
            for (long start = 0; start < inner; start += InnerBlock)
            {
                long count = Math.Min(InnerBlock, inner - start);
                for (long tile = 0, row = first; tile < tiles; tile++, row += TileRows)
                    SideBySide(a + row * inner + start, inner, 1, Math.Min(TileRows, end - row), count, packed + tile * TileRows * InnerBlock);
                for (long column = 0; column < columns; column += Columns)
                {
                    // The tiles of a column fetch what the next column begins with, each a part.
                    float* from = b + start * stride + column, next = column + Columns < columns ? from + Columns : b + (start + InnerBlock) * stride;
                    for (long tile = 0, row = first; tile < tiles; tile++, row += TileRows)
                        Tile(
                            packed + tile * TileRows * InnerBlock, (nint)count, from, (nint)stride, y + row * stride + column, (nint)Math.Min(TileRows, end - row),
                            next + tile * count / tiles * stride, (nint)tiles);
                }
            }
        }
    }

    /// <summary>y += aᵀ b, for a y that is larger than b: of it every part is read and written once for <see cref="InnerBlock"/> rows of b, in its order.</summary>
    /// <param name="a">[inner,rows].</param>
    /// <param name="rows">Any number.</param>
    /// <param name="stride">Between a's rows.</param>
    /// <param name="inner">Any number.</param>
    /// <param name="b">[inner,columns].</param>
    /// <param name="columns">A multiple of <see cref="Columns"/>.</param>
    /// <param name="y">[rows,columns]; added to.</param>
    [SkipLocalsInit]
    public static void AddOuter(float* a, long rows, long stride, long inner, float* b, long columns, float* y)
    {
        float* packed = stackalloc float[(int)(TileRows * InnerBlock)];
        for (long start = 0; start < inner; start += InnerBlock)
        {
            long count = Math.Min(InnerBlock, inner - start);
            for (long row = 0; row < rows; row += TileRows)
            {
                long live = Math.Min(TileRows, rows - row);
                SideBySide(a + start * stride + row, 1, stride, live, count, packed);
                float* result = y + row * columns;
                for (long column = 0; column < columns; column += Columns, result += Columns)
                    Tile(packed, (nint)count, b + start * columns + column, (nint)columns, result, (nint)live, result + Columns, (nint)Math.Max(1, count / TileRows));
            }
        }
    }

    /// <summary>
    /// Rows that are not there become zeros.
    /// <code>
    /// a  1 2 3      packed  1 4 7 0 0 0 0 0
    ///    4 5 6   ->         2 5 8 0 0 0 0 0
    ///    7 8 9              3 6 9 0 0 0 0 0
    /// </code>
    /// </summary>
    private static void SideBySide(float* a, long rowStride, long innerStride, long live, long count, float* packed)
    {
        if (live == TileRows && rowStride == 1)
        {
            for (long i = 0; i < count; i++, a += innerStride, packed += TileRows) Vector256.Load(a).Store(packed);
            return;
        }
        if (live == TileRows)
        {
            for (long i = 0; i < count; i++, a += innerStride, packed += TileRows)
            {
                packed[0] = a[0];
                packed[1] = a[rowStride];
                packed[2] = a[2 * rowStride];
                packed[3] = a[3 * rowStride];
                packed[4] = a[4 * rowStride];
                packed[5] = a[5 * rowStride];
                packed[6] = a[6 * rowStride];
                packed[7] = a[7 * rowStride];
            }
            return;
        }
        for (long i = 0; i < count; i++, a += innerStride, packed += TileRows)
            for (long row = 0; row < TileRows; row++) packed[row] = row < live ? a[row * rowStride] : 0;
    }

    /// <summary>Adds at most eight rows of a times 32 columns of b to y.</summary>
    /// <param name="packed">[count,8].</param>
    /// <param name="count">Rows of b.</param>
    /// <param name="b">The columns' first number.</param>
    /// <param name="columns">Between rows of b and y.</param>
    /// <param name="y">The tile's first number.</param>
    /// <param name="live">Rows of the tile.</param>
    /// <param name="next">What comes after this tile: its rows are fetched on the way, one every <paramref name="every"/> rows of b.</param>
    /// <param name="every">At least one.</param>
    private static void Tile(float* packed, nint count, float* b, nint columns, float* y, nint live, float* next, nint every)
    {
        if (live > TileRows / 2) Eight(packed, count, b, columns, y, live, next, every);
        else Four(packed, count, b, columns, y, live, next, every);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(float* packed, nint count, float* b, nint columns, float* y, nint live, float* next, nint every)
    {
        Lanes a0 = Lanes.Zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += TileRows, b += columns)
        {
            if (--wait == 0)
            {
                Sse.Prefetch0(next);
                Sse.Prefetch0(next + 16);
                next += columns;
                wait = every;
            }
            Lanes u = Vector512.Load(b), v = Vector512.Load(b + 16), w = Vector512.Create(packed[0]);
            (a0, b0) = (Vector512.FusedMultiplyAdd(u, w, a0), Vector512.FusedMultiplyAdd(v, w, b0));
            w = Vector512.Create(packed[1]);
            (a1, b1) = (Vector512.FusedMultiplyAdd(u, w, a1), Vector512.FusedMultiplyAdd(v, w, b1));
            w = Vector512.Create(packed[2]);
            (a2, b2) = (Vector512.FusedMultiplyAdd(u, w, a2), Vector512.FusedMultiplyAdd(v, w, b2));
            w = Vector512.Create(packed[3]);
            (a3, b3) = (Vector512.FusedMultiplyAdd(u, w, a3), Vector512.FusedMultiplyAdd(v, w, b3));
            w = Vector512.Create(packed[4]);
            (a4, b4) = (Vector512.FusedMultiplyAdd(u, w, a4), Vector512.FusedMultiplyAdd(v, w, b4));
            w = Vector512.Create(packed[5]);
            (a5, b5) = (Vector512.FusedMultiplyAdd(u, w, a5), Vector512.FusedMultiplyAdd(v, w, b5));
            w = Vector512.Create(packed[6]);
            (a6, b6) = (Vector512.FusedMultiplyAdd(u, w, a6), Vector512.FusedMultiplyAdd(v, w, b6));
            w = Vector512.Create(packed[7]);
            (a7, b7) = (Vector512.FusedMultiplyAdd(u, w, a7), Vector512.FusedMultiplyAdd(v, w, b7));
        }
        Add(y, a0, b0);
        Add(y += columns, a1, b1);
        Add(y += columns, a2, b2);
        Add(y += columns, a3, b3);
        Add(y += columns, a4, b4);
        if (live > 5) Add(y += columns, a5, b5);
        if (live > 6) Add(y += columns, a6, b6);
        if (live > 7) Add(y += columns, a7, b7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(float* packed, nint count, float* b, nint columns, float* y, nint live, float* next, nint every)
    {
        Lanes a0 = Lanes.Zero, a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += TileRows, b += columns)
        {
            if (--wait == 0)
            {
                Sse.Prefetch0(next);
                Sse.Prefetch0(next + 16);
                next += columns;
                wait = every;
            }
            Lanes u = Vector512.Load(b), v = Vector512.Load(b + 16), w = Vector512.Create(packed[0]);
            (a0, b0) = (Vector512.FusedMultiplyAdd(u, w, a0), Vector512.FusedMultiplyAdd(v, w, b0));
            w = Vector512.Create(packed[1]);
            (a1, b1) = (Vector512.FusedMultiplyAdd(u, w, a1), Vector512.FusedMultiplyAdd(v, w, b1));
            w = Vector512.Create(packed[2]);
            (a2, b2) = (Vector512.FusedMultiplyAdd(u, w, a2), Vector512.FusedMultiplyAdd(v, w, b2));
            w = Vector512.Create(packed[3]);
            (a3, b3) = (Vector512.FusedMultiplyAdd(u, w, a3), Vector512.FusedMultiplyAdd(v, w, b3));
        }
        Add(y, a0, b0);
        if (live > 1) Add(y += columns, a1, b1);
        if (live > 2) Add(y += columns, a2, b2);
        if (live > 3) Add(y += columns, a3, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* y, Lanes left, Lanes right)
    {
        (Vector512.Load(y) + left).Store(y);
        (Vector512.Load(y + 16) + right).Store(y + 16);
    }
}
