using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DiffusionGemma;

/// <summary>
/// y += a b on bare memory, with a as it lies or transposed: a tile of y stays in registers while rows of b pass by. Sums of a block are
/// added to the result as a whole, which rounds less than one long sum. A row's result does not depend on the rows beside it.
/// </summary>
internal static unsafe class TileProducts<L>
    where L : struct, ILanes<L>
{
    /// <summary>Rows of a that are packed at a time: whole tiles of six and of eight.</summary>
    public const long RowBlock = 96;

    /// <summary>Rows of b that are used at a time.</summary>
    private const long InnerBlock = 256;

    /// <summary>Numbers of b that are packed at a time: 256 KiB, which the second-level cache holds.</summary>
    private const long PackedNumbers = 1 << 16;

    /// <summary>Tiles that share b, from which on it is packed.</summary>
    private const long TilesWorthPacking = 2;

    /// <summary>Number of rows of b below which reading and writing y takes longer than the product.</summary>
    private const long FewRows = 64;

    /// <summary>The number that columns are a multiple of: those of a tile.</summary>
    public static int Columns => 2 * L.Count;

    /// <summary>Rows of a tile.</summary>
    private static int TileRows => L.HasManyRegisters ? 8 : 6;

    /// <param name="a">[rows,inner].</param>
    /// <param name="rowStride">Between a's rows: 1 where it is transposed.</param>
    /// <param name="innerStride">Between a row's numbers: 1 where a is not transposed.</param>
    /// <param name="rows">Any number.</param>
    /// <param name="inner">Any number.</param>
    /// <param name="b">[inner,columns].</param>
    /// <param name="bStride">Between b's rows.</param>
    /// <param name="columns">A multiple of <see cref="Columns"/>.</param>
    /// <param name="y">[rows,columns]; added to.</param>
    /// <param name="stride">Between y's rows.</param>
    [SkipLocalsInit]
    public static void Run(
        float* a, long rowStride, long innerStride, long rows, long inner, float* b, long bStride, long columns, float* y, long stride)
    {
        bool packs = rows > (TilesWorthPacking - 1) * TileRows;
        float* packedA = stackalloc float[(int)(RowBlock * InnerBlock)], packedB = stackalloc float[packs ? (int)PackedNumbers : 1];
        for (long start = 0; start < inner; start += InnerBlock)
        {
            long count = Math.Min(InnerBlock, inner - start), group = packs ? Group(count) : columns;
            for (long column = 0; column < columns; column += group)
            {
                long width = Math.Min(group, columns - column), at = start * bStride + column;
                if (packs) Pack(b + at, bStride, count, width, packedB);
                float* from = packs ? packedB : b + at;
                // Panels of a packed b follow each other; of another its columns do.
                nint panel = packs ? Panel(count) : Columns, bRows = packs ? Columns : (nint)bStride;
                for (long first = 0; first < rows; first += RowBlock)
                {
                    long live = Math.Min(RowBlock, rows - first);
                    SideBySide(a + first * rowStride + start * innerStride, rowStride, innerStride, live, count, packedA);
                    Block(
                        packedA, live, (nint)count, from, packs, panel, bRows, width / Columns, y + first * stride + column, (nint)stride);
                }
            }
        }
    }

    /// <summary>
    /// The distance between packed panels: a little more than a panel, so that not all of them begin in the same set of the first-level
    /// cache.
    /// </summary>
    private static nint Panel(long count) => ((nint)count + 1) * Columns;

    /// <summary>Columns of as many panels as are packed at a time.</summary>
    private static long Group(long count) => Math.Max(1, PackedNumbers / Panel(count)) * Columns;

    /// <summary>
    /// Computes a block of y: tile by tile along its rows where there are more rows, panel by panel otherwise, so that b is read from the
    /// nearest cache.
    /// </summary>
    private static void Block(
        float* a, long live, nint count, float* b, bool packed, nint panel, nint bRows, long panels, float* y, nint stride)
    {
        nint every = Math.Max(1, count / TileRows);
        if (!packed)
        {
            // The tiles of a panel fetch the next panel, each a part.
            long tiles = (live + TileRows - 1) / TileRows;
            for (long n = 0; n < panels; n++)
                for (long tile = 0; tile < tiles; tile++)
                {
                    float* next = b + (n + 1) * panel + tile * count / tiles * bRows;
                    float* to = y + tile * TileRows * stride + n * Columns;
                    Tile(
                        a + tile * TileRows * count, count, b + n * panel, bRows, to, stride,
                        (nint)Math.Min(TileRows, live - tile * TileRows), next, bRows, (nint)tiles);
                }
        }
        else if (count < FewRows)
        {
            for (long row = 0; row < live; row += TileRows)
                for (long n = 0; n < panels; n++)
                {
                    float* to = y + row * stride + n * Columns;
                    Tile(
                        a + row * count, count, b + n * panel, bRows, to, stride, (nint)Math.Min(TileRows, live - row),
                        to + Columns, stride, every);
                }
        }
        else
        {
            for (long n = 0; n < panels; n++)
                for (long row = 0; row < live; row += TileRows)
                {
                    float* to = y + row * stride + n * Columns;
                    Tile(
                        a + row * count, count, b + n * panel, bRows, to, stride, (nint)Math.Min(TileRows, live - row),
                        to + TileRows * stride, stride, every);
                }
        }
    }

    /// <summary>
    /// Columns of b as tiles use them, panels of a tile's columns one after the other.
    /// <code>
    /// b  1 2 3 4     packed  1 2
    ///    5 6 7 8             5 6
    ///                        3 4
    ///                        7 8
    /// </code>
    /// </summary>
    private static void Pack(float* b, long stride, long count, long width, float* packed)
    {
        for (long row = 0; row < count; row++)
        {
            float* to = packed + row * Columns;
            for (long column = 0; column < width; column += Columns, to += Panel(count))
            {
                L.Load(b + row * stride + column).Store(to);
                L.Load(b + row * stride + column + L.Count).Store(to + L.Count);
            }
        }
    }

    /// <summary>
    /// Numbers of a as tiles use them, those that one row of b is multiplied with together; rows that are not there become zeros.
    /// <code>
    /// a  1 2 3      a tile  1 4 7 0 0 0 0 0
    ///    4 5 6   ->         2 5 8 0 0 0 0 0
    ///    7 8 9              3 6 9 0 0 0 0 0
    /// </code>
    /// </summary>
    private static void SideBySide(float* a, long rowStride, long innerStride, long live, long count, float* packed)
    {
        if (rowStride == 1)
        {
            // A number of all tiles before the next: cache lines are read whole.
            long whole = live / TileRows;
            for (long i = 0; i < count; i++)
            {
                float* from = a + i * innerStride, to = packed + i * TileRows;
                for (long tile = 0; tile < whole; tile++, from += TileRows, to += TileRows * count)
                {
                    Vector128.Load(from).Store(to);
                    if (TileRows == 8) Vector128.Load(from + 4).Store(to + 4);
                    else *(double*)(to + 4) = *(double*)(from + 4);
                }
            }
            if (whole * TileRows < live)
                Last(a + whole * TileRows, 1, innerStride, live - whole * TileRows, count, packed + whole * TileRows * count);
            return;
        }
        for (long row = 0; row < live; row += TileRows, packed += TileRows * count)
        {
            if (row + TileRows > live) Last(a + row * rowStride, rowStride, innerStride, live - row, count, packed);
            else Whole(a + row * rowStride, rowStride, count, packed);
        }
    }

    /// <summary>A tile's rows of numbers that lie together, four of each at a time.</summary>
    private static void Whole(float* a, long rowStride, long count, float* packed)
    {
        float* b = a + 4 * rowStride;
        long i = 0;
        for (; i + 4 <= count; i += 4, packed += 4 * TileRows)
        {
            Transpose.FourByFour(a + i, rowStride, packed, TileRows);
            if (TileRows == 8) Transpose.FourByFour(b + i, rowStride, packed + 4, TileRows);
            else Transpose.TwoByFour(b + i, rowStride, packed + 4, TileRows);
        }
        if (i < count) Last(a + i, rowStride, 1, TileRows, count - i, packed);
    }

    private static void Last(float* a, long rowStride, long innerStride, long live, long count, float* packed)
    {
        for (long i = 0; i < count; i++, a += innerStride, packed += TileRows)
            for (long row = 0; row < TileRows; row++) packed[row] = row < live ? a[row * rowStride] : 0;
    }

    /// <summary>Adds some rows of a times two registers' columns of b to y.</summary>
    /// <param name="packed">[count,<see cref="TileRows"/>].</param>
    /// <param name="count">Rows of b.</param>
    /// <param name="b">The columns' first number.</param>
    /// <param name="bStride">Between rows of b.</param>
    /// <param name="y">The tile's first number.</param>
    /// <param name="stride">Between rows of y.</param>
    /// <param name="live">Rows of the tile.</param>
    /// <param name="next">The first of the rows that are fetched on the way.</param>
    /// <param name="apart">Between them.</param>
    /// <param name="every">One is fetched every so many rows of b; at least one.</param>
    private static void Tile(
        float* packed, nint count, float* b, nint bStride, float* y, nint stride, nint live, float* next, nint apart, nint every)
    {
        if (L.HasManyRegisters)
        {
            if (live > 4) Eight(packed, count, b, bStride, y, stride, live, next, apart, every);
            else Four(packed, count, b, bStride, y, stride, live, next, apart, every);
        }
        else if (live > 3) Six(packed, count, b, bStride, y, stride, live, next, apart, every);
        else Three(packed, count, b, bStride, y, stride, live, next, apart, every);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(
        float* packed, nint count, float* b, nint bStride, float* y, nint stride, nint live, float* next, nint apart, nint every)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        L b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += 8, b += bStride)
        {
            if (--wait == 0)
            {
                Fetch(next);
                next += apart;
                wait = every;
            }
            L u = L.Load(b), v = L.Load(b + L.Count), w = L.Create(packed[0]);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Create(packed[1]);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Create(packed[2]);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
            w = L.Create(packed[3]);
            (a3, b3) = (L.MultiplyAdd(u, w, a3), L.MultiplyAdd(v, w, b3));
            w = L.Create(packed[4]);
            (a4, b4) = (L.MultiplyAdd(u, w, a4), L.MultiplyAdd(v, w, b4));
            w = L.Create(packed[5]);
            (a5, b5) = (L.MultiplyAdd(u, w, a5), L.MultiplyAdd(v, w, b5));
            w = L.Create(packed[6]);
            (a6, b6) = (L.MultiplyAdd(u, w, a6), L.MultiplyAdd(v, w, b6));
            w = L.Create(packed[7]);
            (a7, b7) = (L.MultiplyAdd(u, w, a7), L.MultiplyAdd(v, w, b7));
        }
        Add(y, a0, b0);
        Add(y += stride, a1, b1);
        Add(y += stride, a2, b2);
        Add(y += stride, a3, b3);
        Add(y += stride, a4, b4);
        if (live > 5) Add(y += stride, a5, b5);
        if (live > 6) Add(y += stride, a6, b6);
        if (live > 7) Add(y += stride, a7, b7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Six(
        float* packed, nint count, float* b, nint bStride, float* y, nint stride, nint live, float* next, nint apart, nint every)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += 6, b += bStride)
        {
            if (--wait == 0)
            {
                Fetch(next);
                next += apart;
                wait = every;
            }
            L u = L.Load(b), v = L.Load(b + L.Count), w = L.Create(packed[0]);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Create(packed[1]);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Create(packed[2]);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
            w = L.Create(packed[3]);
            (a3, b3) = (L.MultiplyAdd(u, w, a3), L.MultiplyAdd(v, w, b3));
            w = L.Create(packed[4]);
            (a4, b4) = (L.MultiplyAdd(u, w, a4), L.MultiplyAdd(v, w, b4));
            w = L.Create(packed[5]);
            (a5, b5) = (L.MultiplyAdd(u, w, a5), L.MultiplyAdd(v, w, b5));
        }
        Add(y, a0, b0);
        Add(y += stride, a1, b1);
        Add(y += stride, a2, b2);
        Add(y += stride, a3, b3);
        if (live > 4) Add(y += stride, a4, b4);
        if (live > 5) Add(y += stride, a5, b5);
    }

    /// <summary>The product in tiles of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(
        float* packed, nint count, float* b, nint bStride, float* y, nint stride, nint live, float* next, nint apart, nint every)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += 8, b += bStride)
        {
            if (--wait == 0)
            {
                Fetch(next);
                next += apart;
                wait = every;
            }
            L u = L.Load(b), v = L.Load(b + L.Count), w = L.Create(packed[0]);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Create(packed[1]);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Create(packed[2]);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
            w = L.Create(packed[3]);
            (a3, b3) = (L.MultiplyAdd(u, w, a3), L.MultiplyAdd(v, w, b3));
        }
        Add(y, a0, b0);
        if (live > 1) Add(y += stride, a1, b1);
        if (live > 2) Add(y += stride, a2, b2);
        if (live > 3) Add(y += stride, a3, b3);
    }

    /// <summary>The product in tiles of six rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Three(
        float* packed, nint count, float* b, nint bStride, float* y, nint stride, nint live, float* next, nint apart, nint every)
    {
        L a0 = L.Create(0), a1 = a0, a2 = a0, b0 = a0, b1 = a0, b2 = a0;
        nint wait = 1;
        for (nint i = 0; i < count; i++, packed += 6, b += bStride)
        {
            if (--wait == 0)
            {
                Fetch(next);
                next += apart;
                wait = every;
            }
            L u = L.Load(b), v = L.Load(b + L.Count), w = L.Create(packed[0]);
            (a0, b0) = (L.MultiplyAdd(u, w, a0), L.MultiplyAdd(v, w, b0));
            w = L.Create(packed[1]);
            (a1, b1) = (L.MultiplyAdd(u, w, a1), L.MultiplyAdd(v, w, b1));
            w = L.Create(packed[2]);
            (a2, b2) = (L.MultiplyAdd(u, w, a2), L.MultiplyAdd(v, w, b2));
        }
        Add(y, a0, b0);
        if (live > 1) Add(y += stride, a1, b1);
        if (live > 2) Add(y += stride, a2, b2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(float* next)
    {
        Prefetch.Near(next);
        if (L.Count > 8) Prefetch.Near(next + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* y, L left, L right)
    {
        (L.Load(y) + left).Store(y);
        (L.Load(y + L.Count) + right).Store(y + L.Count);
    }
}
