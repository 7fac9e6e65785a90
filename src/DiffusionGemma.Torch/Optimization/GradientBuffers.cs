using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Where a trained parameter's gradient adds up: the optimiser's own memory, in at least float32, of the parameter's shape. Functions with a
/// backward of their own add to it in place, a slice at a time: of the gradient of an embedding table or of a stack of experts, which autograd
/// would make anew, whole, at every use, there is then one for the whole step.
/// </summary>
internal static class GradientBuffers
{
    private static readonly ConditionalWeakTable<Tensor, Tensor> Buffers = [];

    [ThreadStatic]
    private static IReadOnlyDictionary<Tensor, Tensor>? _ofThisThread;

    /// <summary>Buffers that on this thread go before those that were attached; null: none do.</summary>
    public static IReadOnlyDictionary<Tensor, Tensor>? OfThisThread
    {
        set => _ofThisThread = value;
    }

    /// <summary>From now on gradients of <paramref name="parameter"/> belong in <paramref name="buffer"/>, which the caller owns.</summary>
    public static void Attach(Tensor parameter, Tensor buffer) => Buffers.AddOrUpdate(parameter, buffer);

    /// <summary>Ends <see cref="Attach"/>.</summary>
    public static void Detach(Tensor parameter) => Buffers.Remove(parameter);

    /// <summary>The parameter's buffer; where nobody attached one, its <c>grad</c>, as autograd itself would use it.</summary>
    public static Tensor Of(Tensor parameter)
    {
        if (_ofThisThread?.TryGetValue(parameter, out Tensor? own) == true) return own;
        if (Buffers.TryGetValue(parameter, out Tensor? buffer)) return buffer;
        if (parameter.grad is null)
        {
            using Tensor zeros = zeros_like(parameter);
            parameter.grad = zeros;
        }
        return parameter.grad!;
    }
}
