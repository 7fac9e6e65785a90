using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The operations of <see cref="IProcessGroup"/> that ranks must call together.</summary>
internal enum Collective
{
    AllReduce,
    ReduceScatter,
    AllGather,
    AllToAll,
    Broadcast,
    Barrier,
    Split,
}

/// <summary>
/// What a rank asks of the others: made of the arguments, which are checked on the way (<see cref="ArgumentException"/>), and compared between ranks
/// before anything moves.
/// </summary>
/// <param name="Operation">The collective.</param>
/// <param name="DType">Of the tensors; null where there are none.</param>
/// <param name="Numbers">All-reduce, broadcast: numbers in the tensor. Reduce-scatter, all-gather: numbers in one rank's part. All-to-all: numbers in a row.</param>
/// <param name="Root">Of a broadcast; -1 otherwise.</param>
internal readonly record struct CollectiveCall(Collective Operation, ScalarType? DType = null, long Numbers = 0, int Root = -1)
{
    public static CollectiveCall AllReduce(Tensor tensor) => new(Collective.AllReduce, Known(tensor), tensor.numel());

    public static CollectiveCall ReduceScatter(Tensor input, Tensor output, int rank, int ranks)
    {
        Pair(input, output, whole: input, part: output, rank, ranks);
        return new(Collective.ReduceScatter, Known(input), output.numel());
    }

    public static CollectiveCall AllGather(Tensor input, Tensor output, int rank, int ranks)
    {
        Pair(input, output, whole: output, part: input, rank, ranks);
        return new(Collective.AllGather, Known(input), input.numel());
    }

    public static CollectiveCall AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received, int ranks)
    {
        SameKind(input, output);
        Rows(input, sent, ranks, "sent");
        Rows(output, received, ranks, "received");
        if (RowNumbers(input) != RowNumbers(output)) throw new ArgumentException($"Rows of {RowNumbers(input)} numbers go out and rows of {RowNumbers(output)} come in.");
        if (Overlap(input, output)) throw new ArgumentException("All-to-all: input and output share memory.");
        return new(Collective.AllToAll, Known(input), RowNumbers(input));
    }

    public static CollectiveCall Broadcast(Tensor tensor, int root, int ranks)
    {
        if (root < 0 || root >= ranks) throw new ArgumentOutOfRangeException(nameof(root), root, $"The group has {ranks} ranks.");
        return new(Collective.Broadcast, Known(tensor), tensor.numel(), root);
    }

    public static CollectiveCall Split(int color)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(color);
        return new(Collective.Split);
    }

    public override string ToString()
    {
        string name = Operation switch
        {
            Collective.AllReduce => "all-reduce",
            Collective.ReduceScatter => "reduce-scatter",
            Collective.AllGather => "all-gather",
            Collective.AllToAll => "all-to-all",
            Collective.Broadcast => "broadcast",
            Collective.Barrier => "barrier",
            Collective.Split => "split",
            _ => Operation.ToString(),
        };
        if (DType is null) return name;
        string numbers = string.Create(CultureInfo.InvariantCulture, $"{Numbers} {DType.ToString()!.ToLowerInvariant()}");
        return Operation switch
        {
            Collective.ReduceScatter or Collective.AllGather => $"{name} of {numbers} a rank",
            Collective.AllToAll => $"{name} of rows of {numbers}",
            Collective.Broadcast => $"{name} of {numbers} from rank {Root} of the group",
            _ => $"{name} of {numbers}",
        };
    }

    private static ScalarType Known(Tensor tensor)
    {
        if (tensor.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16 or ScalarType.Int64))
            throw new ArgumentException($"Collectives take float32, float64, bfloat16 and int64, not {tensor.dtype}.");
        return tensor.is_contiguous() ? tensor.dtype
            : throw new ArgumentException($"Collectives take contiguous tensors: the one of [{string.Join(", ", tensor.shape)}] is not.");
    }

    private static void SameKind(Tensor input, Tensor output)
    {
        if (Known(input) != Known(output)) throw new ArgumentException($"The input is {input.dtype} and the output {output.dtype}.");
    }

    private static void Pair(Tensor input, Tensor output, Tensor whole, Tensor part, int rank, int ranks)
    {
        SameKind(input, output);
        if (whole.numel() != part.numel() * ranks) throw new ArgumentException($"{ranks} parts of {part.numel()} numbers are not the {whole.numel()} of the whole.");
        if (Overlap(input, output) && Address(part) != Address(whole) + rank * part.numel() * part.element_size())
            throw new ArgumentException("Input and output share memory, and not as this rank's part of the whole.");
    }

    private static void Rows(Tensor tensor, IReadOnlyList<long> counts, int ranks, string what)
    {
        if (tensor.dim() == 0) throw new ArgumentException("All-to-all: a tensor without dimensions has no rows.");
        if (counts.Count != ranks) throw new ArgumentException($"All-to-all: {counts.Count} counts of rows {what} for {ranks} ranks.");
        if (counts.Any(count => count < 0)) throw new ArgumentException($"All-to-all: a count of rows {what} is negative: {string.Join(", ", counts)}.");
        if (counts.Sum() != tensor.shape[0]) throw new ArgumentException($"All-to-all: rows {what} are {string.Join(" + ", counts)}, and the tensor has {tensor.shape[0]}.");
    }

    private static long RowNumbers(Tensor tensor) => tensor.shape.Skip(1).Aggregate(1L, (a, b) => a * b);

    private static bool Overlap(Tensor a, Tensor b)
    {
        (long startA, long startB) = (Address(a), Address(b));
        return startA < startB + b.numel() * b.element_size() && startB < startA + a.numel() * a.element_size();
    }

    private static unsafe long Address(Tensor tensor) => (long)NativeTensors.Data(tensor);
}
