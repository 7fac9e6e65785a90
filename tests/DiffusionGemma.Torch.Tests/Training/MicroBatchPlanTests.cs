using CsCheck;

namespace DiffusionGemma;

public class MicroBatchPlanTests
{
    [Fact]
    public void Rows_of_like_length_go_together()
    {
        Assert.Equal([[1, 3], [2, 0]], MicroBatchPlan.Split([30, 90, 31, 88], 2, null));
        Assert.Equal([[0], [1], [2]], MicroBatchPlan.Split([30, 90, 31], 1, 10));
        Assert.Equal([[1], [3], [2, 0]], MicroBatchPlan.Split([30, 90, 31, 88], 4, 100));
    }

    /// <summary>Whole micro-batches alone: where rows are left over, a last one of one long row may pad less.</summary>
    [Fact]
    public void No_more_is_padded_than_with_rows_as_they_come() =>
        Property.Holds(
            Gen.Int[2, 6].SelectMany(rows =>
                Gen.Int[1, 5].SelectMany(batches => Gen.Select(Gen.Int[1, 60].Array[rows * batches], Gen.Const(rows)))),
                count: 500, drawn =>
    {
        (int[] lengths, int maxRows) = drawn;
        int Padded(IEnumerable<int[]> batches) => batches.Sum(rows => rows.Length * rows.Max(row => lengths[row]));
        Assert.True(Padded(MicroBatchPlan.Split(lengths, maxRows, null)) <= Padded(Enumerable.Range(0, lengths.Length).Chunk(maxRows)));
    });

    [Fact]
    public void Every_row_once_and_within_the_limits() => Property.Holds(
        Gen.Select(Gen.Int[1, 60].Array[1, 20], Gen.Int[1, 6], Gen.Int[0, 150]), count: 500,
        drawn =>
        {
            (int[] lengths, int maxRows, int limit) = drawn;
            int? maxTokens = limit == 0 ? null : limit;
            IReadOnlyList<int[]> batches = MicroBatchPlan.Split(lengths, maxRows, maxTokens);
            Assert.Equal(Enumerable.Range(0, lengths.Length), batches.SelectMany(b => b).Order());
            Assert.All(batches, b => Assert.True(
                b.Length <= maxRows
                && (b.Length == 1 || maxRows == 1 || maxTokens is null || b.Length * b.Max(r => lengths[r]) <= maxTokens)));
        });
}
