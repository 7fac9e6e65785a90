using CsCheck;

namespace DiffusionGemma;

public class CanvasPackingTests
{
    private const int Eos = 1;

    /// <summary>spec/training.md said again, position by position.</summary>
    [Fact]
    public void Packing_is_the_page_said_again()
    {
        var cases = Gen.Select(Gen.Int[0, 3].Select(n => n == 0).Array[0, 40], Gen.Int[1, 9], Gen.Int[1, 50], Gen.Int[1, 12], Gen.Bool);
        Property.Holds(cases, 2000, drawn =>
        {
            (bool[] mask, int canvas, int maximum, int padMultiple, bool padsByCanvas) = drawn;
            int[] ids = [.. mask.Select((_, i) => 100 + i)];
            TrainingExample? got = CanvasPacking.Pack(ids, mask, canvas, maximum, Eos, padsByCanvas ? null : padMultiple);

            var rowIds = new List<int>();
            var rowMask = new List<bool>();
            for (int i = 0; i < ids.Length && i < maximum; i++)
            {
                rowIds.Add(ids[i]);
                rowMask.Add(mask[i]);
            }
            if (!rowMask.Contains(true))
            {
                Assert.Null(got);
                return;
            }
            int prefix = 0;
            while (!rowMask[prefix]) prefix++;
            while ((rowIds.Count - prefix) % canvas != 0 && rowIds.Count < maximum)
            {
                rowIds.Add(Eos);
                rowMask.Add(true);
            }
            int padded = rowIds.Count, multiple = padsByCanvas ? canvas : padMultiple;
            while ((padded % canvas != 0 || padded % multiple != 0) && padded < maximum) padded++;
            Assert.NotNull(got);
            Assert.Equal(rowIds, got.InputIds);
            Assert.Equal(rowMask, got.LossMask);
            Assert.Equal((prefix, padded), (got.PrefixLength, got.PaddedLength));
            Assert.Equal(Enumerable.Range(prefix, rowIds.Count - prefix).Chunk(canvas).Count(), got.CanvasCount(canvas));
        });
    }

    [Fact]
    public void The_picture_of_the_documentation_is_true()
    {
        bool[] mask = [false, false, false, false, false, true, true, true, true, true];
        TrainingExample packed = CanvasPacking.Pack([10, 11, 12, 13, 14, 15, 16, 17, 18, 19], mask, canvasLength: 4, maxLength: 16, Eos)!;
        Assert.Equal([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 1, 1, 1], packed.InputIds);
        Assert.Equal([.. mask, true, true, true], packed.LossMask);
        Assert.Equal((5, 16, 2), (packed.PrefixLength, packed.PaddedLength, packed.CanvasCount(4)));
    }

    [Fact]
    public void Numbers_that_make_no_sense_are_named()
    {
        static string Message(Action pack) => Assert.ThrowsAny<ArgumentException>(pack).Message;
        Assert.Contains("2 ids but 1 mask values", Message(() => CanvasPacking.Pack([5, 6], [true], 4, 16, Eos)), StringComparison.Ordinal);
        Assert.Contains("canvasLength", Message(() => CanvasPacking.Pack([5], [true], 0, 16, Eos)), StringComparison.Ordinal);
        Assert.Contains("maxLength", Message(() => CanvasPacking.Pack([5], [true], 4, 0, Eos)), StringComparison.Ordinal);
        Assert.Contains("padMultiple", Message(() => CanvasPacking.Pack([5], [true], 4, 16, Eos, 0)), StringComparison.Ordinal);
        // no overflow on the way
        Assert.Equal(2000, CanvasPacking.Pack([5], [true], int.MaxValue, 2000, Eos, int.MaxValue - 1)!.PaddedLength);
    }
}
