using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>One collective with drawn values, checked from inside by every rank: values are functions of (seed, rank), so each rank knows what all others bring.</summary>
internal sealed record CollectiveCase(Collective Operation, ScalarType DType, int Ranks, long Numbers, long[] Counts, int Root, bool InPlace, int Seed)
{
    private const int Guard = 3;

    private static readonly Gen<ScalarType>[] DTypes =
        [Gen.Const(ScalarType.Float32), Gen.Const(ScalarType.Float64), Gen.Const(ScalarType.BFloat16), Gen.Const(ScalarType.Int64)];

    /// <summary>Cases for a group of so many ranks.</summary>
    public static Gen<CollectiveCase> Of(Gen<int> ranks, long most) =>
        from operation in Gen.Enum<Collective>()
        from dtype in Gen.OneOf(DTypes)
        from n in ranks
        from numbers in Gen.OneOf(Gen.Const(0L), Gen.Const(1L), Gen.Long[0, 40].Select(k => 2 * k + 1), Gen.Long[0, most])
        from counts in Gen.OneOf(Gen.Long[0, 5], Gen.Long[0, 3].Select(k => k == 3 ? 7 : 0L)).Array[n * n]
        from gathered in Gen.Bool
        from root in Gen.Int[0, n - 1]
        from inPlace in Gen.Bool
        from seed in Gen.Int[0, 1 << 20]
        select new CollectiveCase(operation, dtype, n, numbers, [.. counts.Select((count, k) => gathered && k % n != root ? 0 : count)], root, inPlace, seed);

    public override string ToString() =>
        $"{Operation} of {Numbers} {DType}, {Ranks} ranks, counts {string.Join(" ", Counts)}, root {Root}, {(InPlace ? "in place" : "apart")}, seed {Seed}";

    /// <summary>Runs it as the group's rank; throws where a number is not the expected one, or one outside of the tensors has changed.</summary>
    public void Check(IProcessGroup group)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        int rank = group.Rank;
        switch (Operation)
        {
            case Collective.AllReduce:
                var reduced = new Guarded(Values(rank, Numbers));
                group.AllReduce(reduced.Inner);
                reduced.Expect(Sum(Numbers), this);
                break;
            case Collective.ReduceScatter:
                var input = new Guarded(Values(rank, Ranks * Numbers));
                var output = InPlace ? null : new Guarded(Values(rank + 100, Numbers));
                Tensor part = input.Inner.narrow(0, rank * Numbers, Numbers), sum = Sum(Ranks * Numbers).narrow(0, rank * Numbers, Numbers);
                group.ReduceScatter(input.Inner, output?.Inner ?? part);
                output?.Expect(sum, this);
                if (InPlace) Same(part, sum);
                input.ExpectGuards(this);
                break;
            case Collective.AllGather:
                var whole = new Guarded(Values(rank + 100, Ranks * Numbers));
                Tensor own = InPlace ? whole.Inner.narrow(0, rank * Numbers, Numbers).copy_(Values(rank, Numbers)) : Values(rank, Numbers);
                group.AllGather(own, whole.Inner);
                whole.Expect(cat([.. Enumerable.Range(0, Ranks).Select(r => Values(r, Numbers))]), this);
                Same(own, Values(rank, Numbers));
                break;
            case Collective.AllToAll:
                CheckAllToAll(group);
                break;
            case Collective.Broadcast:
                var tensor = new Guarded(Values(rank, Numbers));
                group.Broadcast(tensor.Inner, Root);
                tensor.Expect(Values(Root, Numbers), this);
                break;
            case Collective.Barrier:
                group.Barrier();
                break;
            case Collective.Split:
                int[] colors = [.. Enumerable.Range(0, Ranks).Select(r => (int)Counts[r])];
                using (IProcessGroup same = group.Split(colors[rank]))
                {
                    int[] alike = [.. Enumerable.Range(0, Ranks).Where(r => colors[r] == colors[rank])];
                    if (same.Size != alike.Length || alike[same.Rank] != rank) throw new InvalidDataException($"Rank {rank} became {same.Rank} of {same.Size}: {this}");
                    var ranks = new Guarded(zeros(alike.Length, dtype: ScalarType.Int64));
                    same.AllGather(torch.tensor([(long)rank]), ranks.Inner);
                    ranks.Expect(torch.tensor(alike.Select(r => (long)r).ToArray()), this);
                    same.Barrier();
                }
                break;
        }
    }

    private void CheckAllToAll(IProcessGroup group)
    {
        const int width = 3;
        int rank = group.Rank;
        long[] sent = Sent(rank), received = [.. Enumerable.Range(0, Ranks).Select(r => Sent(r)[rank])];
        Tensor Rows(int r) => Values(r, Sent(r).Sum() * width).view(-1, width);
        Tensor Part(int from, int to) => Rows(from).narrow(0, Sent(from).Take(to).Sum(), Sent(from)[to]);
        var input = new Guarded(Rows(rank));
        var output = new Guarded(Values(rank + 100, received.Sum() * width).view(-1, width));
        group.AllToAll(input.Inner, sent, output.Inner, received);
        input.Expect(Rows(rank), this);
        output.Expect(cat([.. Enumerable.Range(0, Ranks).Select(r => Part(r, rank))]), this);

        long[] Sent(int r) => Counts[(r * Ranks)..((r + 1) * Ranks)];
    }

    /// <summary>
    /// [numbers]: multiples of 1/64 below 32, of which any sum of a few is exact in float32, in any order; so the float64 sum, rounded once, is the only right
    /// answer in float32 and bfloat16. Float64 has more below, and int64 above, that a sum in a smaller type would lose.
    /// </summary>
    private Tensor Values(int rank, long numbers)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)(Seed * 1000L + rank));
        Tensor drawn = randint(-2048, 2048, [numbers], dtype: ScalarType.Int64, generator: generator);
        Tensor values = DType switch
        {
            ScalarType.Int64 => drawn * (1L << 44) + drawn,
            ScalarType.Float64 => drawn.to(ScalarType.Float64) / 64 + drawn.to(ScalarType.Float64) / (1L << 40),
            _ => (drawn.to(ScalarType.Float64) / 64).to(DType),
        };
        return values.MoveToOuterDisposeScope();
    }

    private Tensor Sum(long numbers)
    {
        ScalarType exact = DType == ScalarType.Int64 ? ScalarType.Int64 : ScalarType.Float64;
        Tensor sum = zeros(numbers, dtype: exact);
        for (int r = 0; r < Ranks; r++) sum.add_(Values(r, numbers));
        return sum.to(DType);
    }

    private void Same(Tensor got, Tensor expected)
    {
        if (!got.shape.SequenceEqual(expected.shape) || got.dtype != expected.dtype || !got.eq(expected).all().item<bool>())
            throw new InvalidDataException($"Got {got.str()} in place of {expected.str()}: {this}");
    }

    /// <summary>A tensor in the middle of a larger one, so that an engine that ignores a view's offset or writes too far is found out.</summary>
    private sealed class Guarded
    {
        private readonly Tensor _all;

        public Guarded(Tensor values)
        {
            _all = full(values.numel() + 2 * Guard, 5, dtype: values.dtype);
            Inner = _all.narrow(0, Guard, values.numel()).view(values.shape);
            Inner.copy_(values);
        }

        public Tensor Inner { get; }

        public void Expect(Tensor expected, CollectiveCase context)
        {
            context.Same(Inner, expected);
            ExpectGuards(context);
        }

        public void ExpectGuards(CollectiveCase context)
        {
            foreach (Tensor guard in new[] { _all.narrow(0, 0, Guard), _all.narrow(0, _all.shape[0] - Guard, Guard) }) context.Same(guard, full_like(guard, 5));
        }
    }
}
