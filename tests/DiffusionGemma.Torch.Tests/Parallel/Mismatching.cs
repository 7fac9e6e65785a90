using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Collectives of three ranks in which rank 1 does something else.</summary>
internal static class Mismatching
{
    public static void Call(IProcessGroup group, string kind, bool other)
    {
        using var scope = NewDisposeScope();
        Tensor four = zeros(4);
        switch (kind)
        {
            case "operation" when other:
                group.AllGather(four, zeros(4 * group.Size));
                break;
            case "barrier" when other:
                group.Barrier();
                break;
            case "split" when other:
                group.Split(0).Dispose();
                break;
            case "dtype" when other:
                group.AllReduce(zeros(4, dtype: ScalarType.Float64));
                break;
            case "size" when other:
                group.AllReduce(zeros(5));
                break;
            case "root":
                group.Broadcast(four, other ? 1 : 0);
                break;
            case "counts":
                long[] received = [.. Enumerable.Range(0, group.Size).Select(r => group.Rank == group.Size - 1 && r == 1 ? 2L : 1)];
                group.AllToAll(zeros(group.Size), [.. Enumerable.Repeat(1L, group.Size)], zeros(received.Sum()), received);
                break;
            case "rows":
                long[] ones = [.. Enumerable.Repeat(1L, group.Size)];
                long[] shape = other ? [group.Size] : [group.Size, 2];
                group.AllToAll(zeros(shape), ones, zeros(shape), ones);
                break;
            default:
                group.AllReduce(four);
                break;
        }
    }
}
