using TorchSharp;

namespace DiffusionGemma;

/// <summary>A layer's cache of two plain tensors, which gradients flow through; appending replaces them by longer ones.</summary>
/// <param name="held">Keys and values of earlier tokens.</param>
/// <param name="scope">Scope that owns the longer tensors; null: the current one.</param>
internal sealed class TensorLayerCache(KeyValues held, DisposeScope? scope = null) : ILayerCache
{
    /// <summary>The cached keys and values.</summary>
    public KeyValues Held { get; private set; } = held;

    /// <inheritdoc/>
    public KeyValues Append(KeyValues fresh)
    {
        Held = Held.Concatenate(fresh);
        scope?.Attach(Held.Keys);
        scope?.Attach(Held.Values);
        return Held;
    }

    /// <inheritdoc/>
    public KeyValues Join(KeyValues canvas) => Held.Concatenate(canvas);
}
