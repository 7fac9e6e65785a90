using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Maps trained parameters to the tensors that their gradients are added to, an optimiser's own memory for example, in at least float32 and
/// of the parameter's shape. Functions with a backward of their own add to it in place, a slice at a time: autograd would allocate a
/// gradient of the whole size of an embedding table, or of a stack of experts, at every use.
/// </summary>
/// <param name="buffers">Parameters with their tensors; any other parameter's gradient goes to its <c>grad</c>.</param>
internal sealed class GradientSink(IEnumerable<(Tensor Parameter, Tensor Buffer)> buffers)
{
    private readonly Dictionary<Tensor, Tensor> _buffers = Map(buffers);

    /// <summary>
    /// Returns the tensor that a parameter's gradient is added to: the one it was given, or else its <c>grad</c>, zero at first.
    /// </summary>
    public Tensor BufferOf(Tensor parameter)
    {
        if (_buffers.TryGetValue(parameter, out Tensor? buffer)) return buffer;
        if (parameter.grad is null)
        {
            using Tensor zeros = zeros_like(parameter);
            parameter.grad = zeros;
        }
        return parameter.grad!;
    }

    private static Dictionary<Tensor, Tensor> Map(IEnumerable<(Tensor Parameter, Tensor Buffer)> buffers)
    {
        var map = new Dictionary<Tensor, Tensor>(ReferenceEqualityComparer.Instance);
        foreach ((Tensor parameter, Tensor buffer) in buffers) map[parameter] = buffer;
        return map;
    }
}
