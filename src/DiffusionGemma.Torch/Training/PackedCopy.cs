using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Copies several arrays to a device at once.</summary>
internal sealed class PackedCopy
{
    private readonly List<(int Start, long[] Shape)> _parts = [];
    private readonly List<long> _numbers = [];

    /// <summary>Adds an array.</summary>
    /// <param name="numbers">Its elements in their order.</param>
    /// <param name="shape">Its shape.</param>
    /// <returns>Its place in the result of <see cref="Send"/>.</returns>
    public int Add(IReadOnlyCollection<long> numbers, params long[] shape)
    {
        _parts.Add((_numbers.Count, shape));
        _numbers.AddRange(numbers);
        return _parts.Count - 1;
    }

    /// <summary>Copies all arrays.</summary>
    /// <param name="device">Where the tensors go.</param>
    /// <returns>Views of one int64 tensor, in the order in which the arrays were added.</returns>
    public Tensor[] Send(Device device)
    {
        using var scope = NewDisposeScope();
        Tensor all = HostCopy.Send(tensor(_numbers.ToArray(), ScalarType.Int64, CPU), device);
        return
        [
            .. _parts.Select(part => all.narrow(0, part.Start, part.Shape.Aggregate(1L, (a, b) => a * b)).view(part.Shape)
                .MoveToOuterDisposeScope()),
        ];
    }
}
