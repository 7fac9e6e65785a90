using System.Globalization;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// The operation, dtype and size of a collective, which must be equal on all ranks. Its factory methods check the rank's own arguments and
/// throw an <see cref="ArgumentException"/>.
/// </summary>
/// <param name="Operation">The collective.</param>
/// <param name="DType">The dtype of the tensors; null for operations without tensors.</param>
/// <param name="Elements">
/// All-reduce, broadcast: elements of the tensor. Reduce-scatter, all-gather: elements of one rank's part. All-to-all: elements of a row.
/// </param>
/// <param name="Root">Broadcast: the root; -1 otherwise.</param>
internal readonly record struct CollectiveCall(Collective Operation, ScalarType? DType = null, long Elements = 0, int Root = -1)
{
    public static CollectiveCall AllReduce(Tensor tensor) => new(Collective.AllReduce, CheckedDType(tensor), tensor.numel());

    public static CollectiveCall ReduceScatter(Tensor input, Tensor output, int rank, int ranks)
    {
        CheckParts(input, output, whole: input, part: output, rank, ranks);
        return new(Collective.ReduceScatter, CheckedDType(input), output.numel());
    }

    public static CollectiveCall AllGather(Tensor input, Tensor output, int rank, int ranks)
    {
        CheckParts(input, output, whole: output, part: input, rank, ranks);
        return new(Collective.AllGather, CheckedDType(input), input.numel());
    }

    public static CollectiveCall AllToAll(
        Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received, int ranks)
    {
        CheckDTypes(input, output);
        CheckRows(input, sent, ranks, "sent");
        CheckRows(output, received, ranks, "received");
        (long sentElements, long receivedElements) = (RowElements(input), RowElements(output));
        if (sentElements != receivedElements)
            throw new ArgumentException($"All-to-all: rows of {sentElements} elements are sent and rows of {receivedElements} received.");
        if (Overlap(input, output)) throw new ArgumentException("All-to-all: input and output share memory.");
        return new(Collective.AllToAll, CheckedDType(input), sentElements);
    }

    public static CollectiveCall Broadcast(Tensor tensor, int root, int ranks)
    {
        if (root < 0 || root >= ranks) throw new ArgumentOutOfRangeException(nameof(root), root, $"The group has {ranks} ranks.");
        return new(Collective.Broadcast, CheckedDType(tensor), tensor.numel(), root);
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
        string elements = string.Create(CultureInfo.InvariantCulture, $"{Elements} {DType.ToString()!.ToLowerInvariant()}");
        return Operation switch
        {
            Collective.ReduceScatter or Collective.AllGather => $"{name} of {elements} a rank",
            Collective.AllToAll => $"{name} of rows of {elements}",
            Collective.Broadcast => $"{name} of {elements} from rank {Root} of the group",
            _ => $"{name} of {elements}",
        };
    }

    private static ScalarType CheckedDType(Tensor tensor)
    {
        if (tensor.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16 or ScalarType.Int64))
            throw new ArgumentException($"Collectives take float32, float64, bfloat16 and int64, not {tensor.dtype}.");
        return tensor.is_contiguous() ? tensor.dtype
            : throw new ArgumentException($"Collectives take contiguous tensors: the one of [{string.Join(", ", tensor.shape)}] is not.");
    }

    private static void CheckDTypes(Tensor input, Tensor output)
    {
        if (CheckedDType(input) != CheckedDType(output))
            throw new ArgumentException($"The input is {input.dtype} and the output {output.dtype}.");
    }

    private static void CheckParts(Tensor input, Tensor output, Tensor whole, Tensor part, int rank, int ranks)
    {
        CheckDTypes(input, output);
        if (whole.numel() != part.numel() * ranks)
            throw new ArgumentException($"{ranks} parts of {part.numel()} elements are not the {whole.numel()} of the whole.");
        if (Overlap(input, output) && Address(part) != Address(whole) + rank * part.numel() * part.element_size())
            throw new ArgumentException("Input and output share memory, and not as this rank's part of the whole.");
    }

    private static void CheckRows(Tensor tensor, IReadOnlyList<long> counts, int ranks, string direction)
    {
        if (tensor.dim() == 0) throw new ArgumentException("All-to-all: a tensor without dimensions has no rows.");
        if (counts.Count != ranks) throw new ArgumentException($"All-to-all: {counts.Count} counts of rows {direction} for {ranks} ranks.");
        if (counts.Any(count => count < 0))
            throw new ArgumentException($"All-to-all: a count of rows {direction} is negative: {string.Join(", ", counts)}.");
        if (counts.Sum() != tensor.shape[0])
        {
            throw new ArgumentException(
                $"All-to-all: the rows {direction} are {string.Join(" + ", counts)}, and the tensor has {tensor.shape[0]}.");
        }
    }

    private static long RowElements(Tensor tensor) => tensor.shape.Skip(1).Aggregate(1L, (a, b) => a * b);

    private static bool Overlap(Tensor a, Tensor b)
    {
        (long startA, long startB) = (Address(a), Address(b));
        return startA < startB + b.numel() * b.element_size() && startB < startA + a.numel() * a.element_size();
    }

    private static unsafe long Address(Tensor tensor) => (long)NativeTensors.Data(tensor);
}
