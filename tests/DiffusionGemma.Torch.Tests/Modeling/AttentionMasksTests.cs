using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>spec/model.md and spec/training.md said again, a query and a key at a time, over rows padded on either side.</summary>
public class AttentionMasksTests : TorchTest
{
    private static readonly Gen<(int Left, int Real, int Right)> Row = Gen.Select(Gen.Int[0, 4], Gen.Int[1, 12], Gen.Int[0, 4]);

    [Fact]
    public void Encoder_masks() => Property.Holds(Gen.Select(Row.Array[1, 3], Gen.Int[1, 6], Gen.Int[1, 9]), 300, drawn =>
    {
        ((int Left, int Real, int Right)[] rows, int window, int newest) = drawn;
        bool[][] real = Padded(rows);
        int keys = real[0].Length, queries = Math.Min(newest, keys);
        (Tensor mask, Tensor positions) = Tensors(real);
        foreach (AttentionKind kind in Enum.GetValues<AttentionKind>())
        {
            bool[] got = Flat(
                AttentionMasks.Encoder(kind, window, positions.narrow(1, keys - queries, queries), positions, mask),
                [rows.Length, 1, queries, keys]);
            for (int b = 0, at = 0; b < rows.Length; b++)
                for (int q = keys - queries; q < keys; q++)
                    for (int k = 0; k < keys; k++, at++)
                        if (real[b][q])                                                         // what padding sees is never read
                        {
                            int distance = Position(real[b], q) - Position(real[b], k);
                            Assert.Equal(real[b][k] && k <= q && (kind == AttentionKind.Full || distance < window), got[at]);
                        }
        }
    });

    [Fact]
    public void Decoder_masks() => Property.Holds(Gen.Select(
        Row.Array[1, 3], Gen.Int[1, 6], Gen.Int[0, 14].Array[3], Gen.Int[0, 4].Array[3]), 300, drawn =>
    {
        ((int Left, int Real, int Right)[] rows, int window, int[] start, int[] canvasSize) = drawn;
        bool[][] real = Padded(rows);
        int keys = real[0].Length, canvas = 4, count = rows.Length;
        (Tensor mask, Tensor positions) = Tensors(real);
        Tensor starts = tensor(start.Take(count).Select(s => (long)s).ToArray());
        Tensor inCanvas = tensor(
            Enumerable.Range(0, count * canvas).Select(i => i % canvas < canvasSize[i / canvas]).ToArray()).view(count, canvas);
        foreach (AttentionKind kind in Enum.GetValues<AttentionKind>())
        {
            bool[] got = Flat(AttentionMasks.Decoder(kind, window, starts, positions, mask, inCanvas), [count, 1, canvas, keys + canvas]);
            for (int b = 0, at = 0; b < count; b++)
                for (int q = 0; q < canvas; q++)
                    for (int k = 0; k < keys + canvas; k++, at++)
                    {
                        bool expected = k >= keys ? k - keys < canvasSize[b]
                            : real[b][k] && Position(real[b], k) < start[b]
                                && (kind == AttentionKind.Full || Position(real[b], k) >= start[b] - window + 1);
                        Assert.Equal(expected, got[at]);
                    }
        }
    });

    /// <summary>Real tokens before this one.</summary>
    private static int Position(bool[] real, int index) => real.Take(index).Count(r => r);

    /// <summary>Rows of one width, padding on both sides.</summary>
    private static bool[][] Padded((int Left, int Real, int Right)[] rows)
    {
        int width = rows.Max(r => r.Left + r.Real + r.Right);
        return [.. rows.Select(r => Enumerable.Range(0, width).Select(i => i >= r.Left && i < r.Left + r.Real).ToArray())];
    }

    private static (Tensor Mask, Tensor Positions) Tensors(bool[][] real)
    {
        Tensor mask = tensor(real.SelectMany(row => row).ToArray()).view(real.Length, -1);
        return (mask, tensor(real.SelectMany(row => row.Select((_, i) => (long)Position(row, i))).ToArray()).view(real.Length, -1));
    }

    private static bool[] Flat(Tensor mask, long[] shape)
    {
        Assert.Equal(shape, mask.shape);
        return mask.contiguous().data<bool>().ToArray();
    }
}
