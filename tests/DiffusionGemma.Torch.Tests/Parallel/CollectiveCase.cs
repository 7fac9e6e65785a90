using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// One collective with drawn values, checked by every rank itself: values are functions of (seed, rank), so each rank knows the inputs of
/// all others.
/// </summary>
internal sealed record CollectiveCase(
    Collective Operation, ScalarType DType, int Ranks, long Elements, long[] Counts, int Root, bool InPlace, int Seed)
{
    private const int Guard = 3;

    private static readonly Gen<ScalarType>[] DTypes =
        [Gen.Const(ScalarType.Float32), Gen.Const(ScalarType.Float64), Gen.Const(ScalarType.BFloat16), Gen.Const(ScalarType.Int64)];

    /// <summary>Draws cases for a group of drawn size.</summary>
    public static Gen<CollectiveCase> Draw(Gen<int> ranks, long most) =>
        from operation in Gen.Enum<Collective>()
        from dtype in Gen.OneOf(DTypes)
        from n in ranks
        from elements in Gen.OneOf(Gen.Const(0L), Gen.Const(1L), Gen.Long[0, 40].Select(k => 2 * k + 1), Gen.Long[0, most])
        from counts in Gen.OneOf(Gen.Long[0, 5], Gen.Long[0, 3].Select(k => k == 3 ? 7 : 0L)).Array[n * n]
        from gathered in Gen.Bool
        from root in Gen.Int[0, n - 1]
        from inPlace in Gen.Bool
        from seed in Gen.Int[0, 1 << 20]
        let sent = counts.Select((count, k) => gathered && k % n != root ? 0 : count).ToArray()
        select new CollectiveCase(operation, dtype, n, elements, sent, root, inPlace, seed);

    public override string ToString() =>
        $"{Operation} of {Elements} {DType}, {Ranks} ranks, counts {string.Join(" ", Counts)}, root {Root}, "
        + $"{(InPlace ? "in place" : "apart")}, seed {Seed}";

    /// <summary>
    /// Runs the collective as the group's rank; throws where an element is wrong, or memory beside the tensors has changed.
    /// </summary>
    public void Check(IProcessGroup group)
    {
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        int rank = group.Rank;
        switch (Operation)
        {
            case Collective.AllReduce:
                var reduced = new Guarded(Values(rank, Elements));
                group.AllReduce(reduced.Inner);
                reduced.Expect(Sum(Elements), this);
                break;
            case Collective.ReduceScatter:
                var input = new Guarded(Values(rank, Ranks * Elements));
                var output = InPlace ? null : new Guarded(Values(rank + 100, Elements));
                Tensor part = input.Inner.narrow(0, rank * Elements, Elements);
                Tensor sum = Sum(Ranks * Elements).narrow(0, rank * Elements, Elements);
                group.ReduceScatter(input.Inner, output?.Inner ?? part);
                output?.Expect(sum, this);
                if (InPlace) Same(part, sum);
                input.ExpectGuards(this);
                break;
            case Collective.AllGather:
                var whole = new Guarded(Values(rank + 100, Ranks * Elements));
                Tensor own = Values(rank, Elements);
                if (InPlace) own = whole.Inner.narrow(0, rank * Elements, Elements).copy_(own);
                group.AllGather(own, whole.Inner);
                whole.Expect(cat([.. Enumerable.Range(0, Ranks).Select(r => Values(r, Elements))]), this);
                Same(own, Values(rank, Elements));
                break;
            case Collective.AllToAll:
                CheckAllToAll(group);
                break;
            case Collective.Broadcast:
                var tensor = new Guarded(Values(rank, Elements));
                group.Broadcast(tensor.Inner, Root);
                tensor.Expect(Values(Root, Elements), this);
                break;
            case Collective.Barrier:
                group.Barrier();
                break;
            case Collective.Split:
                int[] colors = [.. Enumerable.Range(0, Ranks).Select(r => (int)Counts[r])];
                using (IProcessGroup same = group.Split(colors[rank]))
                {
                    int[] alike = [.. Enumerable.Range(0, Ranks).Where(r => colors[r] == colors[rank])];
                    if (same.Size != alike.Length || alike[same.Rank] != rank)
                        throw new InvalidDataException($"Rank {rank} became {same.Rank} of {same.Size}: {this}");
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
    /// Draws [elements]: multiples of 1/64 below 32, whose sums are exact in float32 in any order; so the float64 sum, rounded once, is the
    /// only right result in float32 and bfloat16. Float64 values have more low bits, and int64 values more high bits, which a sum in a
    /// smaller type would lose.
    /// </summary>
    private Tensor Values(int rank, long elements)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)(Seed * 1000L + rank));
        Tensor drawn = randint(-2048, 2048, [elements], dtype: ScalarType.Int64, generator: generator);
        Tensor values = DType switch
        {
            ScalarType.Int64 => drawn * (1L << 44) + drawn,
            ScalarType.Float64 => drawn.to(ScalarType.Float64) / 64 + drawn.to(ScalarType.Float64) / (1L << 40),
            _ => (drawn.to(ScalarType.Float64) / 64).to(DType),
        };
        return values.MoveToOuterDisposeScope();
    }

    private Tensor Sum(long elements)
    {
        ScalarType exact = DType == ScalarType.Int64 ? ScalarType.Int64 : ScalarType.Float64;
        Tensor sum = zeros(elements, dtype: exact);
        for (int r = 0; r < Ranks; r++) sum.add_(Values(r, elements));
        return sum.to(DType);
    }

    private void Same(Tensor got, Tensor expected)
    {
        if (!got.shape.SequenceEqual(expected.shape) || got.dtype != expected.dtype || !got.eq(expected).all().item<bool>())
            throw new InvalidDataException($"Got {got.str()} instead of {expected.str()}: {this}");
    }

    /// <summary>A tensor in the middle of a larger one, to detect an engine that ignores a view's offset or writes out of bounds.</summary>
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
            foreach (Tensor guard in new[] { _all.narrow(0, 0, Guard), _all.narrow(0, _all.shape[0] - Guard, Guard) })
                context.Same(guard, full_like(guard, 5));
        }
    }
}
