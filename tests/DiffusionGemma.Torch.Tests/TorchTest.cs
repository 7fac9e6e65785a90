using TorchSharp;

namespace DiffusionGemma;

/// <summary>Base of every test that uses tensors: one thread an operator, so that tests in parallel do not fight over two cores.</summary>
public abstract class TorchTest : IDisposable
{
    private readonly DisposeScope _scope;

    protected TorchTest()
    {
        DiffusionGemmaRuntime.EnsureUsable();
        torch.set_num_threads(1);
        _scope = torch.NewDisposeScope();
    }

    public virtual void Dispose()
    {
        _scope.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The largest absolute difference, over the rows and positions of <paramref name="mask"/> where one is given.</summary>
    internal static double Largest(torch.Tensor got, torch.Tensor expected, torch.Tensor? mask = null)
    {
        Assert.Equal(expected.shape, got.shape);
        using var scope = torch.NewDisposeScope();
        static torch.Tensor Wide(torch.Tensor tensor) => tensor.to(torch.CPU).to(torch.ScalarType.Float64);
        torch.Tensor difference = (Wide(got) - Wide(expected)).abs();
        if (mask is not null) difference = difference.masked_fill(mask.to(torch.CPU).logical_not().unsqueeze(-1), 0);
        return difference.max().item<double>();
    }
}
