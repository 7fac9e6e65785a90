namespace DiffusionGemma;

/// <summary>Seeds are those of the recipe: every term of each formula counts, and streams do not meet.</summary>
public class SeedsTests
{
    private const ulong Stream = 4_398_046_511_104;                                              // 2^42

    [Fact]
    public void Formulas_are_those_of_the_recipe()
    {
        Assert.Equal(42UL + 3, Seeds.Epoch(42, 3));
        Assert.Equal(42UL + 7919 * 5 + 2, Seeds.SelfConditioning(42, step: 5, index: 2));
        Assert.Equal(42UL + 7919 * 5 + 2 + Stream, Seeds.Canvas(42, step: 5, index: 2));
        Assert.Equal(42UL + 2 * Stream + 2_654_435_761UL * (5 * 8 + 2), Seeds.Corruption(42, step: 5, index: 2, globalBatchSize: 8));
        Assert.Equal(42UL + 3 * Stream + 2_654_435_761UL * 2, Seeds.HeldOut(42, index: 2));
        Assert.Equal(42UL, Seeds.Adapter(42));
        Assert.Equal(42 + 104_729 * 5 + 9 + 2 * (1L << 40), Seeds.Dropout(42, step: 5, firstRow: 9, pass: 2));
    }

    /// <summary>Corruption wraps at 2^63, as the recipe's does: far into a run the seed is still no negative number.</summary>
    [Fact]
    public void Corruption_wraps_at_2_to_the_63()
    {
        ulong far = Seeds.Corruption(42, step: 4_000_000_000, index: 0, globalBatchSize: 1);
        Assert.Equal(
            (ulong)(((System.Int128)42 + 2 * (System.Int128)Stream + (System.Int128)2_654_435_761 * 4_000_000_000) & long.MaxValue), far);
        Assert.True(far <= long.MaxValue);
    }
}
