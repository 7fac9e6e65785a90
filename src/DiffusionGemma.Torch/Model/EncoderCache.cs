using TorchSharp;
using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>
/// Result of encoder passes: keys and values of every layer, with a mask of their real positions. Grows with every <see
/// cref="DiffusionGemmaModel.Encode(Tensor, Tensor?, EncoderCache?)"/> that gets it as its past. It owns its tensors; never share it
/// between two generations.
/// </summary>
public sealed class EncoderCache : IDisposable
{
    private bool _disposed;
    private IReadOnlyList<KeyValues> _layers;
    private Tensor _mask, _positions, _hidden;

    internal EncoderCache(IReadOnlyList<KeyValues> layers, Tensor mask, Tensor positions, Tensor hidden)
    {
        (_layers, _mask, _positions, _hidden) = (layers, mask, positions, hidden);
        Own();
    }

    /// <summary>Positions held, padding included.</summary>
    public int Length => (int)Mask.shape[1];

    /// <summary>[B,S,H] of the newest Encode, after the final norm.</summary>
    /// <exception cref="ObjectDisposedException">The cache is freed.</exception>
    public Tensor LastHiddenState => Live(_hidden);

    internal IReadOnlyList<KeyValues> Layers => Live(_layers);

    /// <summary>[B,Length] bool, true = real token.</summary>
    internal Tensor Mask => Live(_mask);

    /// <summary>[B,Length] int64: the number of real tokens before each token in its row.</summary>
    internal Tensor Positions => Live(_positions);

    /// <summary>[B] int64: the position that follows each row's last real token.</summary>
    internal Tensor NextPositions() => Mask.sum(-1);

    /// <summary>Copies some of the rows [n] to a cache of their own, without gradients.</summary>
    internal EncoderCache Select(Tensor rows)
    {
        using IDisposable quiet = torch.no_grad();
        Tensor Of(Tensor whole) => TorchOperators.SelectRows(whole, rows);
        return new EncoderCache(
            [.. Layers.Select(l => new KeyValues(Of(l.Keys), Of(l.Values)))], Of(Mask), Of(Positions), Of(LastHiddenState));
    }

    /// <summary>Replaces the tensors by longer ones, which the cache then owns.</summary>
    internal void Replace(IReadOnlyList<KeyValues> layers, Tensor mask, Tensor positions, Tensor hidden)
    {
        Free();
        (_layers, _mask, _positions, _hidden) = (layers, mask, positions, hidden);
        Own();
    }

    /// <summary>Frees keys, values and the hidden state.</summary>
    public void Dispose()
    {
        _disposed = true;
        Free();
    }

    private T Live<T>(T held)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return held;
    }

    private void Free()
    {
        foreach (Tensor tensor in Tensors()) tensor.Dispose();
    }

    private void Own()
    {
        foreach (Tensor tensor in Tensors()) tensor.DetachFromDisposeScope();
    }

    private IEnumerable<Tensor> Tensors() => [.. _layers.SelectMany(l => new[] { l.Keys, l.Values }), _mask, _positions, _hidden];
}
