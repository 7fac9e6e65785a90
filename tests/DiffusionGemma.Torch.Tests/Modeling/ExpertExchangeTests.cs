using CsCheck;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Tests of rows that are sent to their experts' owners and back, with any split.</summary>
public class ExpertExchangeTests : TorchTest
{
    private static readonly Gen<(int Ranks, int Own, int[] Counts)> Cases =
        from ranks in Gen.Int[1, 4]
        from own in Gen.Int[1, 3]
        from kind in Gen.Int[0, 3]
        from counts in Gen.Int[0, 5].Array[ranks * ranks * own]
        select (ranks, own, kind switch
        {
            0 => [.. counts.Select((_, n) => n % (ranks * own) == 0 ? 4 : 0)],                  // all to one expert
            1 => [.. counts.Select((c, n) => n < ranks * own ? 0 : c)],                         // nothing of the first rank
            _ => counts,
        });

    [Fact]
    public void Every_expert_gets_its_rows_and_every_row_comes_back() => Property.Holds(Cases, 60, drawn =>
    {
        (int ranks, int own, int[] counts) = drawn;
        long[] Of(int rank) => [.. counts.AsSpan(rank * ranks * own, ranks * own).ToArray().Select(c => (long)c)];
        // A row says whose it is, for which expert, and which.
        IEnumerable<long[]> Rows(int rank) =>
            Of(rank).SelectMany((count, expert) => Enumerable.Range(0, (int)count).Select(n => new long[] { rank, expert, n }));
        RankThreads.Succeed(InProcessGroup.Create(ranks, TimeSpan.FromMinutes(5)), group =>
        {
            long[][] mine = [.. Rows(group.Rank)];
            Tensor sent = tensor(mine.SelectMany(r => r).ToArray()).view(-1, 3);
            using ExpertExchange exchange = ExpertExchange.Create(ExpertRows.OnHost(Of(group.Rank)), group, CPU);
            Tensor arrived = exchange.ToExperts(sent);
            IEnumerable<int> experts = Enumerable.Range(group.Rank * own, own);
            long[][] expected = [.. experts.SelectMany(expert => Enumerable.Range(0, ranks).SelectMany(Rows).Where(r => r[1] == expert))];
            Assert.Equal(expected.SelectMany(r => r), Numbers(arrived));
            Assert.Equal(experts.Select(expert => expected.LongCount(r => r[1] == expert)), exchange.Rows.Counts);
            Assert.Equal(mine.SelectMany(r => r), Numbers(exchange.FromExperts(arrived)));
        });
    });

    private static long[] Numbers(Tensor tensor) => tensor.numel() == 0 ? [] : tensor.data<long>().ToArray();

    /// <summary>As [outer, ranks, inner]: parts are the whole, and back; of LoRA's B, whose experts stand innermost, too.</summary>
    [Theory]
    [InlineData(1, new long[] { 8, 3, 5 })]
    [InlineData(6, new long[] { 3, 16 })]
    public void Parts_make_the_whole(long outer, long[] shape)
    {
        const int ranks = 4;
        Tensor whole = arange(shape.Aggregate((a, b) => a * b)).view(shape), again = zeros_like(whole);
        var slice = new ExpertSlice(outer);
        for (int rank = 0; rank < ranks; rank++)
        {
            Tensor part = slice.Select(whole, new Place(rank, ranks));
            Assert.Equal(shape, slice.WholeShape(part.shape, ranks));
            slice.CopyTo(part.contiguous().flatten(), again, rank, ranks);
            if (outer != 6) continue;
            Tensor columns = whole.view(6, 8).narrow(1, 2 * rank, 2);
            Assert.Equal(columns.flatten().data<long>().ToArray(), part.flatten().data<long>().ToArray());
        }
        Assert.Equal(whole.data<long>().ToArray(), again.data<long>().ToArray());
    }

    private sealed class Place(int rank, int size) : Relayed(new SingleRank())
    {
        public override int Rank => rank;

        public override int Size => size;
    }
}
