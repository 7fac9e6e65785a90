using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Tests that count the process's tensors, time something or use its one default generator: nothing else runs meanwhile.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";

    /// <summary>
    /// Live tensors, once those that earlier tests left to the finalizers are gone. What a test leaves itself is to be counted without
    /// collecting.
    /// </summary>
    public static long SettledTensors()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Tensor.TotalCount;
    }

    /// <summary>No more tensors live than <paramref name="before"/>.</summary>
    public static void AssertNoMoreTensorsThan(long before)
    {
        long now = Tensor.TotalCount;
        Assert.True(now <= before, $"{now - before} tensors were left behind.");
    }
}
