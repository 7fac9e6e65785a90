using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>The group of one rank: its collectives copy input to output.</summary>
internal sealed class SingleRank : IProcessGroup
{
    public int Rank => 0;

    public int Size => 1;

    public TimeSpan Timeout => System.Threading.Timeout.InfiniteTimeSpan;

    public string Activity { get; set; } = "";

    public void AllReduce(Tensor tensor)
    {
    }

    public void ReduceScatter(Tensor input, Tensor output) => Copy(input, output);

    public void AllGather(Tensor input, Tensor output) => Copy(input, output);

    public void AllToAll(Tensor input, IReadOnlyList<long> sent, Tensor output, IReadOnlyList<long> received) => Copy(input, output);

    public void Broadcast(Tensor tensor, int root)
    {
    }

    public void Barrier()
    {
    }

    public IProcessGroup Split(int color) => new SingleRank();

    public void Abort(Exception cause)
    {
    }

    public void Dispose()
    {
    }

    private static void Copy(Tensor input, Tensor output)
    {
        using IDisposable quiet = no_grad();
        using Tensor same = output.copy_(input.view(output.shape));
    }
}
